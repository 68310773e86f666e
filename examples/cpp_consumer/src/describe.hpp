// Copyright 2026 the seg_node authors
// SPDX-License-Identifier: Apache-2.0
// The text that the consumer prints for a message. Needs the messages and seg_node's header, but no rclcpp.
#ifndef DESCRIBE_HPP_
#define DESCRIBE_HPP_

#include <algorithm>
#include <cstdint>
#include <iomanip>
#include <sstream>
#include <string>

#include <seg_node/decode.hpp>
#include <seg_node/msg/instance_mask_array.hpp>
#include <seg_node/msg/object3_d_array.hpp>

#include "grasp_point.hpp"

/// "3 cup 0.87", for an InstanceMask or Object3D.
template<class Message>
std::string name_of(const Message & message)
{
  std::ostringstream text;
  text << message.id << " " << message.class_name << " " << std::fixed << std::setprecision(2) << message.score;
  return text.str();
}

/// One line: area and grasp centre of an instance.
///
/// height, width: size of the image, from the InstanceMaskArray.
/// Throws std::invalid_argument when the mask does not fit it.
inline std::string describe(
  const seg_node::msg::InstanceMask & instance, std::uint32_t height, std::uint32_t width)
{
  const seg_node::MaskCrop mask = seg_node::decode_crop(instance, height, width);
  const auto area = std::count(mask.pixels.begin(), mask.pixels.end(), 255);
  if (area == 0) {
    return name_of(instance) + ": no visible pixel";
  }
  const GraspPoint point = find_grasp_point(mask);
  std::ostringstream text;
  text << name_of(instance) << ": area " << area << " px, grasp centre (" << point.column << ", " << point.row <<
    "), " << std::fixed << std::setprecision(1) << point.distance_to_edge << " px from the edge";
  return text.str();
}

/// One line: position and size of an object.
inline std::string describe(const seg_node::msg::Object3D & object)
{
  if (object.num_points == 0) {
    return name_of(object) + ": not located, too little depth";
  }
  const auto & at = object.pose.position;
  std::ostringstream text;
  text << name_of(object) << std::fixed << std::setprecision(3) << ": centre (" << at.x << ", " << at.y << ", " <<
    at.z << ") m, size " << object.size.x << " x " << object.size.y << " x " << object.size.z << " m, " <<
    object.num_points << " points";
  return text.str();
}

/// "instances of camera_optical_frame at 12.000000345: 2" and a line for each.
inline std::string describe(const seg_node::msg::InstanceMaskArray & array)
{
  std::ostringstream text;
  text << "instances of " << array.header.frame_id << " at " << array.header.stamp.sec << "." <<
    std::setfill('0') << std::setw(9) << array.header.stamp.nanosec << ": " << array.instances.size() << "\n";
  for (const auto & instance : array.instances) {
    text << "  " << describe(instance, array.height, array.width) << "\n";
  }
  return text.str();
}

/// "objects in camera_optical_frame at 12.000000345: 2" and a line for each.
inline std::string describe(const seg_node::msg::Object3DArray & array)
{
  std::ostringstream text;
  text << "objects in " << array.header.frame_id << " at " << array.header.stamp.sec << "." <<
    std::setfill('0') << std::setw(9) << array.header.stamp.nanosec << ": " << array.objects.size() << "\n";
  for (const auto & object : array.objects) {
    text << "  " << describe(object) << "\n";
  }
  return text.str();
}

#endif  // DESCRIBE_HPP_
