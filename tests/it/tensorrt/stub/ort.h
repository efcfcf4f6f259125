// The few functions of ONNX Runtime's C API that the stub infers with, called by their place in `OrtApi` (the order of
// onnxruntime_c_api.h, which only grows), so that no header of it is needed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <dlfcn.h>
#include <stdexcept>
#include <string>
#include <vector>

namespace ort {

using Status = void;

class Api {
public:
    static Api &get() {
        static Api api;
        return api;
    }
    template <typename... A> void call(int index, A... args) const {
        using F = Status *(*)(A...);
        Status *status = reinterpret_cast<F>(table_[index])(args...);
        if (status == nullptr) return;
        const std::string text = reinterpret_cast<const char *(*)(const Status *)>(table_[2])(status);
        release(93, status);
        throw std::runtime_error("stub's ONNX Runtime: " + text);
    }
    void release(int index, void *object) const { reinterpret_cast<void (*)(void *)>(table_[index])(object); }
    void *env() const { return env_; }

private:
    Api() {
        const char *path = getenv("ORT_DYLIB_PATH");
        void *lib = dlopen(path != nullptr ? path : "libonnxruntime.so", RTLD_NOW | RTLD_LOCAL);
        auto base = lib != nullptr ? reinterpret_cast<void **(*)()>(dlsym(lib, "OrtGetApiBase")) : nullptr;
        if (base == nullptr) throw std::runtime_error("the stub finds no ONNX Runtime; set ORT_DYLIB_PATH");
        table_ = reinterpret_cast<void **(*)(uint32_t)>(base()[0])(17);
        call(3, 3, "stub", &env_);
    }
    void **table_ = nullptr;
    void *env_ = nullptr;
};

struct Tensor {
    std::string name;
    std::vector<int64_t> dims;
    int type; // ONNX's element type: 1 is float
    size_t elements() const {
        size_t n = 1;
        for (int64_t d : dims) n *= static_cast<size_t>(d);
        return n;
    }
};

/// A model with one float input, run over memory that the caller names.
class Session {
public:
    explicit Session(const std::string &onnx) {
        const Api &api = Api::get();
        void *options = nullptr;
        api.call(10, &options);
        api.call(24, options, 1);
        try {
            api.call(8, api.env(), onnx.data(), onnx.size(), options, &session_);
        } catch (...) {
            api.release(100, options);
            throw;
        }
        api.release(100, options);
        api.call(69, 0, 0, &memory_);
        read(30, 33, 36, inputs);
        read(31, 34, 37, outputs);
    }
    ~Session() {
        Api::get().release(94, memory_);
        Api::get().release(95, session_);
    }
    Session(const Session &) = delete;

    void run(const std::vector<void *> &in, const std::vector<void *> &out) const {
        const Api &api = Api::get();
        std::vector<void *> values;
        const auto wrap = [&](const std::vector<Tensor> &tensors, const std::vector<void *> &at) {
            for (size_t i = 0; i < tensors.size(); ++i) {
                void *value = nullptr;
                api.call(49, memory_, at[i], tensors[i].elements() * sizeof(float), tensors[i].dims.data(),
                         tensors[i].dims.size(), 1, &value);
                values.push_back(value);
            }
        };
        wrap(inputs, in);
        wrap(outputs, out);
        std::vector<const char *> names;
        for (const auto &t : inputs) names.push_back(t.name.c_str());
        for (const auto &t : outputs) names.push_back(t.name.c_str());
        const size_t n = inputs.size();
        api.call(9, session_, nullptr, names.data(), values.data(), n, names.data() + n, outputs.size(),
                 values.data() + n);
        for (void *value : values) api.release(96, value);
    }

    std::vector<Tensor> inputs, outputs;

private:
    void read(int count_at, int type_at, int name_at, std::vector<Tensor> &tensors) {
        const Api &api = Api::get();
        size_t count = 0;
        api.call(count_at, session_, &count);
        void *allocator = nullptr;
        api.call(78, &allocator);
        for (size_t i = 0; i < count; ++i) {
            void *type = nullptr, *info = nullptr;
            api.call(type_at, session_, i, &type);
            api.call(55, type, &info);
            Tensor tensor;
            api.call(60, info, &tensor.type);
            size_t rank = 0;
            api.call(61, info, &rank);
            tensor.dims.resize(rank);
            api.call(62, info, tensor.dims.data(), rank);
            char *name = nullptr;
            api.call(name_at, session_, i, allocator, &name);
            tensor.name = name;
            api.call(76, allocator, name);
            api.release(98, type);
            tensors.push_back(tensor);
        }
    }
    void *session_ = nullptr, *memory_ = nullptr;
};

} // namespace ort
