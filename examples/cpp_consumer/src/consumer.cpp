// Copyright 2026 the seg_node authors
// SPDX-License-Identifier: Apache-2.0
// Prints area and grasp centre of each instance and, with depth, position and size of each object.
//   ros2 run seg_node_cpp_consumer consumer --ros-args -r instances:=/seg_node/instances -r objects:=/seg_node/objects
#include <exception>
#include <iostream>
#include <memory>

#include <rclcpp/rclcpp.hpp>

#include "describe.hpp"

class Consumer : public rclcpp::Node
{
public:
  Consumer()
  : Node("consumer")
  {
    instances_ = create_subscription<seg_node::msg::InstanceMaskArray>(
      "instances", 5, [this](const seg_node::msg::InstanceMaskArray & array) {print(array);});
    objects_ = create_subscription<seg_node::msg::Object3DArray>(
      "objects", 5, [this](const seg_node::msg::Object3DArray & array) {print(array);});
  }

private:
  template<class Message>
  void print(const Message & message)
  {
    try {
      std::cout << describe(message) << std::flush;
    } catch (const std::exception & error) {  // one damaged message does not end the program
      RCLCPP_WARN(get_logger(), "left out: %s", error.what());
    }
  }

  rclcpp::Subscription<seg_node::msg::InstanceMaskArray>::SharedPtr instances_;
  rclcpp::Subscription<seg_node::msg::Object3DArray>::SharedPtr objects_;
};

int main(int argc, char ** argv)
{
  rclcpp::init(argc, argv);
  rclcpp::spin(std::make_shared<Consumer>());
  rclcpp::shutdown();
}
