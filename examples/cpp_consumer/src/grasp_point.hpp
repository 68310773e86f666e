// Copyright 2026 the seg_node authors
// SPDX-License-Identifier: Apache-2.0
// Finds the point at which to grasp the object of a mask. Header only; needs the standard library and seg_node's header.
#ifndef GRASP_POINT_HPP_
#define GRASP_POINT_HPP_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include <seg_node/decode.hpp>

/// A pixel of the image and how far it lies from the mask's edge, in pixels.
struct GraspPoint
{
  std::size_t column = 0;
  std::size_t row = 0;
  double distance_to_edge = 0;
};

/// Three times the distance of each pixel to the nearest one outside the mask, within 6 %; everything outside the
/// crop counts as outside the mask.
///
/// Two passes of a 3-4 chamfer (G. Borgefors, Distance transformations in digital images, 1986).
inline std::vector<int> chamfer_distances(const seg_node::MaskCrop & mask)
{
  const std::size_t width = mask.width + 2, height = mask.height + 2;  // a border of pixels outside the mask
  std::vector<int> distances(width * height, 0);
  const auto pass = [&](const std::size_t i, const std::size_t beside, const std::size_t line) {
      int & distance = distances[i];
      distance = std::min({distance, distances[beside] + 3, distances[line] + 3, distances[line - 1] + 4,
          distances[line + 1] + 4});
    };
  for (std::size_t row = 1; row <= mask.height; ++row) {
    for (std::size_t column = 1; column <= mask.width; ++column) {
      const std::size_t i = row * width + column;
      if (mask.pixels[(row - 1) * mask.width + column - 1]) {
        distances[i] = std::numeric_limits<int>::max() / 2;
        pass(i, i - 1, i - width);
      }
    }
  }
  for (std::size_t i = width * (height - 1) - 1; i > width; --i) {
    pass(i, i + 1, i + width);  // border pixels are 0 and stay so
  }
  return distances;
}

/// The grasp point: among the pixels at least 80 % as far from the edge as the farthest, the one nearest to the centroid.
/// The centroid itself may lie outside a ring or an L; the farthest pixel alone may lie at one end of a bar.
///
/// mask: with at least one pixel of the object.
inline GraspPoint find_grasp_point(const seg_node::MaskCrop & mask)
{
  double pixels = 0, column_sum = 0, row_sum = 0;
  for (std::size_t i = 0; i < mask.pixels.size(); ++i) {
    if (mask.pixels[i]) {
      ++pixels;
      column_sum += static_cast<double>(i % mask.width);
      row_sum += static_cast<double>(i / mask.width);
    }
  }
  const std::vector<int> distances = chamfer_distances(mask);
  const int farthest = *std::max_element(distances.begin(), distances.end());
  GraspPoint best;
  double nearest = std::numeric_limits<double>::max();
  for (std::size_t row = 0; row < mask.height; ++row) {
    for (std::size_t column = 0; column < mask.width; ++column) {
      const int distance = distances[(row + 1) * (mask.width + 2) + column + 1];
      const double x = static_cast<double>(column) - column_sum / pixels;
      const double y = static_cast<double>(row) - row_sum / pixels;
      if (5 * distance >= 4 * farthest && x * x + y * y < nearest) {
        nearest = x * x + y * y;
        best = {mask.x_offset + column, mask.y_offset + row, distance / 3.0};
      }
    }
  }
  return best;
}

#endif  // GRASP_POINT_HPP_
