#include "app/commands.h"

int main(int argc, char** argv) { return tollgate::app::run(argc, argv); }
