// What the consumer prints of a message. No rclcpp: the messages and seg_node's header are enough.
#ifndef DESCRIBE_HPP_
#define DESCRIBE_HPP_

#include <algorithm>
#include <cstdint>
#include <iomanip>
#include <sstream>
#include <string>

#include <seg_node/decode.hpp>
#include <seg_node/msg/instance_mask_array.hpp>

#include "grasp_point.hpp"

/// One line: id, class, score, area and grasp centre of an instance.
///
/// height, width: size of the image, from the InstanceMaskArray.
/// Throws std::invalid_argument when the mask does not fit them.
inline std::string describe(
  const seg_node::msg::InstanceMask & instance, std::uint32_t height, std::uint32_t width)
{
  const seg_node::MaskCrop mask = seg_node::decode_crop(instance, height, width);
  const auto area = std::count(mask.pixels.begin(), mask.pixels.end(), 255);
  std::ostringstream text;
  text << std::fixed << instance.id << " " << instance.class_name << " " << std::setprecision(2) << instance.score;
  if (area == 0) {
    text << ": no visible pixel";
    return text.str();
  }
  const GraspPoint point = find_grasp_point(mask);
  text << ": area " << area << " px, grasp centre (" << point.column << ", " << point.row << "), " <<
    std::setprecision(1) << point.distance_to_edge << " px from the edge";
  return text.str();
}

/// A line for each instance, or one that says that there is none.
inline std::string describe(const seg_node::msg::InstanceMaskArray & array)
{
  std::ostringstream text;
  text << array.header.frame_id << " " << array.header.stamp.sec << "." << std::setfill('0') << std::setw(9) <<
    array.header.stamp.nanosec << ": " << array.instances.size() << " instances\n";
  for (const auto & instance : array.instances) {
    text << "  " << describe(instance, array.height, array.width) << "\n";
  }
  return text.str();
}

#endif  // DESCRIBE_HPP_
