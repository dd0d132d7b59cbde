#pragma once

#include <sys/uio.h>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "net/loop.h"

// Internal to net: bytes over a connected socket, plain or TLS.
namespace tollgate::net {

using Tcp = boost::asio::ip::tcp;
using Socket = boost::asio::basic_stream_socket<Tcp, Executor>;
using Timer = boost::asio::basic_waitable_timer<
    std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;

// "10.0.0.1:443", "[::1]:443".
std::string to_string(const Tcp::endpoint& endpoint);

// A non-blocking connection. Each operation is tried at once and waits for the socket only when
// the kernel says so: a request whose bytes are there costs no turn of the loop. Owner: a session
// or a pooled connection. Threads: its loop. One reader or writer at a time.
class Transport {
 public:
  enum class Io {
    kDone,
    kWantRead,
    kWantWrite,
    kClosed,       // the peer has ended the stream
    kFailed,       // see problem()
    kInterrupted,  // by interrupt()
  };

  virtual ~Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  static std::unique_ptr<Transport> plain(Socket socket);

  // The non-blocking steps. `n` counts bytes moved when kDone (at least one).
  virtual Io try_handshake() = 0;
  virtual Io try_read(char* into, size_t size, size_t& n) = 0;
  virtual Io try_write(std::span<const iovec> pieces, size_t& n) = 0;
  // Bytes that were taken from the socket and not yet read.
  virtual bool has_buffered() const = 0;
  // Between two requests: the peer has closed, or said something nobody asked for.
  virtual bool is_stale() const = 0;
  // Says that we send no more (close_notify and FIN); never waits.
  virtual void shutdown_send() = 0;

  Task<Io> handshake();
  // Reads 1..size bytes. `into` is touched only in the step that completes, so that many
  // connections of a loop may share it. `expect_wait`: the bytes are probably not there yet.
  Task<Io> read(char* into, size_t size, bool expect_wait, size_t& n);
  // Writes all pieces; they are used up as it goes.
  Task<Io> write(std::span<iovec> pieces);
  // Waits until the socket is readable (sets `readable`) or writable.
  Task<Io> wait_either(bool& readable);

  // Ends the wait in progress, or the next one, with kInterrupted until resume().
  void interrupt();
  void resume() { interrupted_ = false; }
  bool interrupted() const { return interrupted_; }
  // Fails every operation from now on.
  void abort();

  Socket& socket() { return socket_; }
  // Why the last operation was kFailed, in words.
  std::string problem() const;

 protected:
  explicit Transport(Socket socket);
  Io failed(int system_error);
  Io failed(std::string problem);
  // What the kernel has for us: bytes, nothing yet, or the end.
  enum class Peek { kBytes, kNothing, kEnd };
  Peek peek() const;

  mutable Socket socket_;

 private:
  Task<Io> wait(Socket::wait_type what);

  bool interrupted_ = false;
  bool aborted_ = false;
  int error_ = 0;
  std::string problem_;
};

// Drops the first `n` bytes of `pieces`.
void skip_bytes(std::span<iovec>& pieces, size_t n);

}  // namespace tollgate::net
