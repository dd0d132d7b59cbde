#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tollgate::policy {

// True for a password that is kept as a bcrypt hash.
bool is_bcrypt(std::string_view stored);

// The work of checking a password against `hash`, in bcrypt rounds (2^cost).
uint64_t bcrypt_rounds(std::string_view hash);

// Checks one password against one hash: 50 ms at cost 10, twice that for each step more. As
// always with bcrypt, only the first 72 bytes of a password count.
bool bcrypt_matches(std::string_view password, const std::string& hash);

// Does as much bcrypt work on `password` as `rounds` stands for, and forgets the result. Rounds
// below the smallest cost (16) are not done.
void spend_bcrypt(std::string_view password, uint64_t rounds);

// The rounds that this thread has done, ever: the cost of a check without a stopwatch.
uint64_t rounds_spent();

}  // namespace tollgate::policy
