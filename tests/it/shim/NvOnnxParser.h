// Not NVIDIA's header: see NvInfer.h beside it.
#pragma once
#include "NvInfer.h"

#define NV_ONNX_PARSER_VERSION 1

namespace nvonnxparser {

class IParserError {
public:
    virtual const char *desc() const = 0;
    virtual int node() const = 0;

protected:
    virtual ~IParserError() {}
};

class IParser {
public:
    virtual bool parse(const void *model, size_t size, const char *path = nullptr) = 0;
    virtual int getNbErrors() const = 0;
    virtual const IParserError *getError(int index) const = 0;
    virtual ~IParser() noexcept = default;
};

} // namespace nvonnxparser
