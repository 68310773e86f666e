// Copyright 2026 the seg_node authors
// SPDX-License-Identifier: Apache-2.0
// libFuzzer target of include/seg_node/decode.hpp: any bytes as the fields of an InstanceMask and its image's size.
// Built and run by test_fuzz_decode.py. Only std::invalid_argument may be thrown.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "seg_node/decode.hpp"

// The fields of seg_node::msg::InstanceMask that a decoder reads, with the types rosidl gives them.
struct InstanceMask
{
  struct
  {
    std::uint32_t x_offset, y_offset, height, width;
    bool do_rectify;
  } roi;
  std::string encoding;
  std::vector<std::uint8_t> data;
};

// Takes numbers off the front of the input; 0 when it is used up.
class Reader
{
public:
  Reader(const std::uint8_t * data, std::size_t size)
  : data_(data), size_(size) {}

  // One byte says how many follow: small numbers fit together more often.
  std::uint32_t number()
  {
    const std::size_t widths[] = {1, 1, 1, 2, 4};
    const std::size_t count = std::min(widths[byte() % 5], size_);
    std::uint32_t value = 0;
    std::memcpy(&value, data_, count);
    data_ += count;
    size_ -= count;
    return value;
  }

  std::uint8_t byte()
  {
    if (size_ == 0) {
      return 0;
    }
    --size_;
    return *data_++;
  }

  std::vector<std::uint8_t> rest() const {return {data_, data_ + size_};}

private:
  const std::uint8_t * data_;
  std::size_t size_;
};

void require(bool condition)
{
  if (!condition) {
    std::abort();
  }
}

// What the crop says must be what the whole mask says.
void compare(const seg_node::MaskCrop & crop, const std::vector<std::uint8_t> & mask, std::uint32_t width)
{
  require(crop.pixels.size() == std::size_t{crop.height} * crop.width);
  std::size_t in_crop = 0, in_mask = 0;
  for (std::size_t row = 0; row < crop.height; ++row) {
    for (std::size_t column = 0; column < crop.width; ++column) {
      const auto value = crop.pixels[row * crop.width + column];
      require(value == 0 || value == 255);
      require(mask[(crop.y_offset + row) * width + crop.x_offset + column] == value);
      in_crop += value != 0;
    }
  }
  for (const auto value : mask) {
    in_mask += value != 0;
  }
  require(in_crop == in_mask);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t * data, std::size_t size)
{
  Reader reader(data, size);
  const char * encodings[] = {"mono8", "bits", "rle", "rle", "png"};
  InstanceMask message;
  message.encoding = encodings[reader.byte() % 5];
  const std::uint32_t height = reader.number(), width = reader.number();
  message.roi = {reader.number(), reader.number(), reader.number(), reader.number(), false};
  message.data = reader.rest();
  try {
    const auto crop = seg_node::decode_crop(message, height, width);
    if (height != 0 && width != 0) {
      compare(crop, seg_node::decode_mask(message, height, width), width);
    }
  } catch (const std::invalid_argument &) {
  }
  return 0;
}
