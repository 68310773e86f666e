// Copyright 2026 the seg_node authors
// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include <seg_node/decode.hpp>
#include <seg_node/msg/instance_mask_array.hpp>

int main()
{
  seg_node::msg::InstanceMask cup;
  cup.class_name = "cup";
  cup.encoding = "bits";
  cup.roi.x_offset = 1;
  cup.roi.y_offset = 2;
  cup.roi.width = 3;
  cup.roi.height = 2;
  cup.data = {0b10100000, 0b01000000};

  seg_node::msg::InstanceMaskArray array;
  array.height = 4;
  array.width = 5;
  array.instances.push_back(cup);
  for (const auto & instance : array.instances) {
    std::cout << instance.class_name;
    for (const auto pixel : seg_node::decode_mask(instance, array.height, array.width)) {
      std::cout << ' ' << (pixel ? 1 : 0);
    }
    std::cout << '\n';
  }
}
