// Prints what seg_node sees: area and grasp centre of each instance.
//   ros2 run seg_node_cpp_consumer consumer --ros-args -r instances:=/seg_node/instances
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
      "instances", 5, [this](const seg_node::msg::InstanceMaskArray & array) {
        try {
          std::cout << describe(array) << std::flush;
        } catch (const std::exception & error) {  // one message that is not whole does not end the program
          RCLCPP_WARN(get_logger(), "instances: %s", error.what());
        }
      });
  }

private:
  rclcpp::Subscription<seg_node::msg::InstanceMaskArray>::SharedPtr instances_;
};

int main(int argc, char ** argv)
{
  rclcpp::init(argc, argv);
  rclcpp::spin(std::make_shared<Consumer>());
  rclcpp::shutdown();
}
