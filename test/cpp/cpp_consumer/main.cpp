// Copyright 2026 the seg_node authors
// SPDX-License-Identifier: Apache-2.0
// Test program of test_examples.py: prints what examples/cpp_consumer prints of a message.
//   describe_lines instances|objects FILE   FILE: the message as it goes over the wire (CDR)
#include <cstdint>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include <rmw/rmw.h>
#include <rosidl_typesupport_cpp/message_type_support.hpp>

#include "describe.hpp"

template<class Message>
int print(std::vector<std::uint8_t> & bytes)
{
  rmw_serialized_message_t serialized = rmw_get_zero_initialized_serialized_message();
  serialized.buffer = bytes.data();
  serialized.buffer_length = serialized.buffer_capacity = bytes.size();
  serialized.allocator = rcutils_get_default_allocator();
  Message message;
  const auto * type = rosidl_typesupport_cpp::get_message_type_support_handle<Message>();
  if (rmw_deserialize(&serialized, type, &message) != RMW_RET_OK) {
    std::cerr << "not such a message\n";
    return 1;
  }
  try {
    std::cout << describe(message);
  } catch (const std::invalid_argument & error) {
    std::cout << "left out: " << error.what() << "\n";
  }
  return 0;
}

int main(int, char ** argv)
{
  std::ifstream file(argv[2], std::ios::binary);
  std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
  const bool instances = argv[1] == std::string("instances");
  return instances ? print<seg_node::msg::InstanceMaskArray>(bytes) : print<seg_node::msg::Object3DArray>(bytes);
}
