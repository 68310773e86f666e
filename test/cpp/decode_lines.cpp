// Copyright 2026 the seg_node authors
// SPDX-License-Identifier: Apache-2.0
// Test program of test_decode_hpp.py: one request a line in, one answer a line out.
//   decode ENCODING HEIGHT WIDTH X Y W H DATA_HEX  ->  ok CROP MASK (0/1 text, row-major, "-" for none) | error TEXT
//   encode ENCODING HEIGHT WIDTH X Y W H CROP      ->  ok DATA_HEX
// The encoder is written pixel by pixel from the words of InstanceMask.msg, for nothing but this test.
#include <sys/resource.h>

#include <cstdio>
#include <iostream>
#include <sstream>

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

std::vector<std::uint8_t> from_hex(const std::string & text)
{
  std::vector<std::uint8_t> data;
  for (std::size_t i = 0; text != "-" && i < text.size(); i += 2) {
    data.push_back(static_cast<std::uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
  }
  return data;
}

std::string to_hex(const std::vector<std::uint8_t> & data)
{
  std::string text;
  char pair[3];
  for (const auto value : data) {
    std::snprintf(pair, sizeof(pair), "%02x", value);
    text += pair;
  }
  return text.empty() ? "-" : text;
}

std::string to_text(const std::vector<std::uint8_t> & pixels)
{
  std::string text;
  for (const auto value : pixels) {
    text += value == 255 ? '1' : value == 0 ? '0' : '?';
  }
  return text.empty() ? "-" : text;
}

std::vector<std::uint8_t> encode_rle(
  const InstanceMask & mask, const std::string & crop, std::uint32_t height, std::uint32_t width)
{
  std::vector<long> counts{0};
  bool last = false;
  for (std::uint32_t column = 0; column < width; ++column) {
    for (std::uint32_t row = 0; row < height; ++row) {
      const auto x = column - mask.roi.x_offset;
      const auto y = row - mask.roi.y_offset;
      const bool object = x < mask.roi.width && y < mask.roi.height && crop[y * mask.roi.width + x] == '1';
      if (object != last) {
        counts.push_back(0);
        last = object;
      }
      ++counts.back();
    }
  }
  std::vector<std::uint8_t> data;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    long value = i > 2 ? counts[i] - counts[i - 2] : counts[i];
    bool more = true;
    while (more) {
      const long low = value & 0x1F;
      value >>= 5;
      more = (low & 0x10) ? value != -1 : value != 0;
      data.push_back(static_cast<std::uint8_t>(48 + low + (more ? 0x20 : 0)));
    }
  }
  return data;
}

std::vector<std::uint8_t> encode(
  const InstanceMask & mask, const std::string & crop, std::uint32_t height, std::uint32_t width)
{
  if (mask.encoding == "rle") {
    return encode_rle(mask, crop, height, width);
  }
  std::vector<std::uint8_t> data;
  for (std::uint32_t row = 0; row < mask.roi.height; ++row) {
    for (std::uint32_t column = 0; column < mask.roi.width; ++column) {
      const bool object = crop[row * mask.roi.width + column] == '1';
      if (mask.encoding == "mono8") {
        data.push_back(object ? 255 : 0);
      } else {
        if (column % 8 == 0) {
          data.push_back(0);
        }
        data.back() = static_cast<std::uint8_t>(data.back() | (object ? 0x80 >> column % 8 : 0));
      }
    }
  }
  return data;
}

int main()
{
  // What is allocated before it is checked, as much as a mask of 64 megapixels, ends the program.
  const rlimit memory{60000000, 60000000}, seconds{20, 20};
  setrlimit(RLIMIT_AS, &memory);
  setrlimit(RLIMIT_CPU, &seconds);
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string request, payload;
    std::uint32_t height, width;
    InstanceMask mask{};
    words >> request >> mask.encoding >> height >> width >> mask.roi.x_offset >> mask.roi.y_offset >>
    mask.roi.width >> mask.roi.height >> payload;
    if (request == "encode") {
      std::cout << "ok " << to_hex(encode(mask, payload, height, width)) << "\n";
      continue;
    }
    mask.data = from_hex(payload);
    try {
      const auto crop = seg_node::decode_crop(mask, height, width);
      std::cout << "ok " << to_text(crop.pixels) << " " << to_text(seg_node::decode_mask(mask, height, width)) <<
        "\n";
    } catch (const std::invalid_argument & error) {
      std::cout << "error " << error.what() << "\n";
    }
  }
  return 0;
}
