// Copyright 2026 the seg_node authors
// SPDX-License-Identifier: Apache-2.0
// Masks of seg_node messages as plain pixels. Header only, C++17, no dependency; the Python twin is
// seg_node/masks/encoding.py, the encodings are described in msg/InstanceMask.msg.
//
//   #include <seg_node/decode.hpp>
//   #include <seg_node/msg/instance_mask_array.hpp>
//
//   for (const auto & instance : array.instances) {
//     const auto crop = seg_node::decode_crop(instance, array.height, array.width);
//     // crop.pixels[row * crop.width + column]: 255 object, 0 not;
//     // its image pixel is (crop.x_offset + column, crop.y_offset + row).
//   }
//
// As an OpenCV image (shares the vector's memory, which must live as long):
//   cv::Mat mask(crop.height, crop.width, CV_8UC1, crop.pixels.data());
#ifndef SEG_NODE__DECODE_HPP_
#define SEG_NODE__DECODE_HPP_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace seg_node
{

/// The pixels of one object inside its region of interest: row-major, height * width, 255 object, 0 not.
struct MaskCrop
{
  std::uint32_t x_offset = 0;
  std::uint32_t y_offset = 0;
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  std::vector<std::uint8_t> pixels;
};

/// 64 megapixels: the largest image or region of interest that is decoded unless the caller allows more.
/// A message of a few bytes can claim any size.
constexpr std::uint64_t default_max_pixels = 64000000;

namespace detail
{

/// Text of a message on one line of bounded length, printable ASCII.
inline std::string printable(const std::string & text)
{
  constexpr std::size_t longest = 60;
  std::string shown = text.substr(0, longest);
  std::replace_if(shown.begin(), shown.end(), [](char c) {return c < ' ' || c > '~';}, '?');
  return text.size() > longest ? shown + "..." : shown;
}

inline void check_size(
  const char * what, std::uint64_t height, std::uint64_t width, std::uint64_t max_pixels)
{
  // Both are below 2^32. Of an empty one its rows or columns count: they are looped over.
  if (std::max<std::uint64_t>(height, 1) * std::max<std::uint64_t>(width, 1) > max_pixels) {
    throw std::invalid_argument(
            std::string(what) + " of " + std::to_string(width) + "x" + std::to_string(height) +
            " is over max_pixels (" + std::to_string(max_pixels) +
            "); raise it if the sender is to be trusted");
  }
}

inline std::string describe(const MaskCrop & roi)
{
  return "roi " + std::to_string(roi.width) + "x" + std::to_string(roi.height) + " at (" +
         std::to_string(roi.x_offset) + ", " + std::to_string(roi.y_offset) + ")";
}

inline void check_roi(const MaskCrop & roi, std::uint64_t height, std::uint64_t width)
{
  if (std::uint64_t{roi.x_offset} + roi.width > width || std::uint64_t{roi.y_offset} + roi.height > height) {
    throw std::invalid_argument(
            describe(roi) + " does not lie in the image " + std::to_string(width) + "x" +
            std::to_string(height) + "; give the height and width of the InstanceMaskArray that holds the mask");
  }
}

inline void check_length(
  std::size_t bytes, std::uint64_t expected, const std::string & encoding, const MaskCrop & roi)
{
  if (bytes != expected) {
    throw std::invalid_argument(
            encoding + " mask of " + describe(roi) + " has " + std::to_string(bytes) + " bytes, not " +
            std::to_string(expected) + "; was the message cut off?");
  }
}

/// Run lengths of COCO's compressed `counts` text (pycocotools common/maskApi.c: rleFrString), which together
/// cover exactly the image's height * width pixels.
template<class Bytes>
std::vector<std::int64_t> decompress(const Bytes & text, std::uint64_t height, std::uint64_t width)
{
  // 7 characters of 5 bits hold any run length of an image below 2^34 pixels, sign included.
  constexpr int longest_number = 7;
  const auto size = static_cast<std::int64_t>(height * width);
  std::vector<std::int64_t> counts;
  std::int64_t value = 0, covered = 0;
  int position = 0;
  bool fits = true;
  for (const auto character : text) {
    const int bits = static_cast<int>(character) - 48;
    if (bits < 0 || bits > 0x3F || position == longest_number) {
      position = -1;
      break;
    }
    value |= static_cast<std::int64_t>(bits & 0x1F) << (5 * position++);
    if (bits & 0x20) {
      continue;
    }
    if (bits & 0x10) {
      value -= std::int64_t{1} << (5 * position);
    }
    if (counts.size() > 2) {
      value += counts[counts.size() - 2];
    }
    position = 0;
    fits = fits && value >= 0 && value <= size - covered;
    if (!fits) {
      break;
    }
    covered += value;
    counts.push_back(value);
    value = 0;
  }
  if (fits && (position != 0 || counts.empty())) {
    throw std::invalid_argument("rle data is not COCO's compressed `counts` text; was the message cut off?");
  }
  if (!fits || covered != size) {
    throw std::invalid_argument(
            "rle runs do not cover the image " + std::to_string(width) + "x" + std::to_string(height) +
            " exactly; give the height and width of the InstanceMaskArray that holds the mask");
  }
  return counts;
}

/// Fills crop.pixels from run lengths over the whole image, column after column.
inline void paint_runs(const std::vector<std::int64_t> & counts, std::uint64_t height, MaskCrop & crop)
{
  std::uint64_t position = 0;
  bool object = false;
  for (const std::int64_t count : counts) {
    const std::uint64_t end = position + static_cast<std::uint64_t>(count);
    for (; object && position < end; ++position) {
      // Left of or above the roi these wrap around to large numbers.
      const std::uint64_t column = position / height - crop.x_offset;
      const std::uint64_t row = position % height - crop.y_offset;
      if (column >= crop.width || row >= crop.height) {
        throw std::invalid_argument(
                "rle has object pixels outside " + describe(crop) +
                "; give the size of the InstanceMaskArray that holds the mask");
      }
      crop.pixels[row * crop.width + column] = 255;
    }
    position = end;
    object = !object;
  }
}

}  // namespace detail

/// The mask inside the message's RoI.
///
/// message: a seg_node::msg::InstanceMask.
/// height, width: size of the source image (InstanceMaskArray has it). "mono8" and "bits" can do without
/// (0, 0); with it the RoI is checked against it.
/// max_pixels: of the image and of the RoI, at most.
/// Throws std::invalid_argument when the encoding is unknown, a size too large, the data do not fit the RoI or
/// the RoI not the image. Nothing is allocated before.
template<class InstanceMask>
MaskCrop decode_crop(
  const InstanceMask & message, std::uint32_t height = 0, std::uint32_t width = 0,
  std::uint64_t max_pixels = default_max_pixels)
{
  MaskCrop crop{message.roi.x_offset, message.roi.y_offset, message.roi.width, message.roi.height, {}};
  const auto & data = message.data;
  const std::uint64_t pixels = std::uint64_t{crop.height} * crop.width;
  if (height != 0 || width != 0) {
    detail::check_size("image", height, width, max_pixels);
    detail::check_roi(crop, height, width);
  }
  detail::check_size("roi", crop.height, crop.width, max_pixels);
  if (message.encoding == "mono8") {
    detail::check_length(data.size(), pixels, "mono8", crop);
    crop.pixels.resize(pixels);
    std::transform(
      data.begin(), data.end(), crop.pixels.begin(),
      [](std::uint8_t value) {return static_cast<std::uint8_t>(value != 0 ? 255 : 0);});
  } else if (message.encoding == "bits") {
    const std::uint64_t row_bytes = (std::uint64_t{crop.width} + 7) / 8;
    detail::check_length(data.size(), crop.height * row_bytes, "bits", crop);
    crop.pixels.resize(pixels);
    for (std::uint64_t i = 0; i < pixels; ++i) {
      const std::uint64_t row = i / crop.width, column = i % crop.width;
      const int bit = data[row * row_bytes + column / 8] >> (7 - column % 8) & 1;
      crop.pixels[i] = static_cast<std::uint8_t>(bit * 255);
    }
  } else if (message.encoding == "rle") {
    if (height == 0 || width == 0) {
      throw std::invalid_argument(
              "an rle mask runs over the whole image; give decode_crop its height and width");
    }
    const auto counts = detail::decompress(data, height, width);
    crop.pixels.resize(pixels);
    detail::paint_runs(counts, height, crop);
  } else {
    throw std::invalid_argument(
            "mask encoding '" + detail::printable(message.encoding) + "' is not known; use mono8, bits or rle");
  }
  return crop;
}

/// The mask on the whole image, row-major, height * width, 255 object, 0 not.
///
/// height, width: size of the source image, from the InstanceMaskArray. max_pixels: of it, at most.
/// Throws std::invalid_argument as decode_crop does.
template<class InstanceMask>
std::vector<std::uint8_t> decode_mask(
  const InstanceMask & message, std::uint32_t height, std::uint32_t width,
  std::uint64_t max_pixels = default_max_pixels)
{
  const MaskCrop crop = decode_crop(message, height, width, max_pixels);
  detail::check_roi(crop, height, width);
  std::vector<std::uint8_t> mask(std::size_t{height} * width);
  for (std::size_t row = 0; row < crop.height; ++row) {
    std::copy_n(
      crop.pixels.begin() + row * crop.width, crop.width,
      mask.begin() + (crop.y_offset + row) * width + crop.x_offset);
  }
  return mask;
}

}  // namespace seg_node

#endif  // SEG_NODE__DECODE_HPP_
