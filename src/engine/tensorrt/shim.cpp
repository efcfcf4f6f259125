// See shim.h. Version branches are by V, major * 100 + minor of the headers.
#include "shim.h"

#include <NvInfer.h>
#include <NvOnnxParser.h>

#include <dlfcn.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <vector>

#ifdef TRT_MAJOR_RTX
#define RTX 1
#else
#define RTX 0
#endif
#define V (NV_TENSORRT_MAJOR * 100 + NV_TENSORRT_MINOR)
// By tensor name rather than by binding index.
#define BY_NAME (RTX || V >= 805)
// FP16 and INT8 are the builder's choice.
#define WEAK (!RTX && V < 1100)

namespace {

int32_t fail(till_trt_error *error, int32_t code, int32_t cuda, const char *format, ...) {
    if (error != nullptr && error->size == sizeof(till_trt_error)) {
        error->code = code;
        error->cuda = cuda;
        va_list args;
        va_start(args, format);
        vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
    }
    return code;
}

// Nothing may be thrown into Rust: what a call of TensorRT's or of the library's throws ends here.
template <typename F> int32_t guarded(till_trt_error *error, F f) noexcept {
    try {
        return f();
    } catch (const std::exception &e) {
        return fail(error, TILL_TRT_EXCEPTION, 0, "exception: %s", e.what());
    } catch (...) {
        return fail(error, TILL_TRT_EXCEPTION, 0, "an exception of unknown type");
    }
}

class Logger final : public nvinfer1::ILogger {
public:
    till_trt_log log_ = nullptr;
    void *user_ = nullptr;

    void log(Severity severity, const char *text) noexcept override {
        if (log_ != nullptr && text != nullptr) log_(user_, static_cast<int32_t>(severity), text);
    }
};

// CUDA's runtime by its C functions; the types are plain integers and pointers in every version.
struct Cuda {
    void *handle = nullptr;
    int (*GetDeviceCount)(int *) = nullptr;
    const char *(*GetErrorString)(int) = nullptr;
    int (*GetLastError)() = nullptr;
    int (*DeviceGetAttribute)(int *, int, int) = nullptr;
    int (*MemGetInfo)(size_t *, size_t *) = nullptr;
    int (*DriverGetVersion)(int *) = nullptr;
    int (*RuntimeGetVersion)(int *) = nullptr;
    int (*DeviceReset)() = nullptr;
    int (*StreamCreate)(void **) = nullptr;
    int (*StreamDestroy)(void *) = nullptr;
    int (*StreamSynchronize)(void *) = nullptr;
    int (*Malloc)(void **, size_t) = nullptr;
    int (*Free)(void *) = nullptr;
    int (*HostAlloc)(void **, size_t, unsigned) = nullptr;
    int (*FreeHost)(void *) = nullptr;
    int (*HostGetDevicePointer)(void **, void *, unsigned) = nullptr;
    int (*MemcpyAsync)(void *, const void *, size_t, int, void *) = nullptr;
};

const int HOST_TO_DEVICE = 1, DEVICE_TO_HOST = 2;
const unsigned HOST_ALLOC_MAPPED = 2;

template <typename F> bool symbol(void *handle, const char *name, F &function) {
    function = reinterpret_cast<F>(dlsym(handle, name));
    return function != nullptr;
}

// getInferLibVersion(): 8201 for 8.2.1, 100300 for 10.3.0, 10701 for RTX 1.7.1.
void decode(int32_t version, int32_t *major, int32_t *minor, int32_t *patch) {
    const int32_t unit = version < 10000 ? 1000 : 10000;
    *major = version / unit;
    *minor = version % unit / 100;
    *patch = version % 100;
}

} // namespace

struct till_trt {
    Logger logger;
    Cuda cuda;
    void *infer = nullptr;
    void *parser = nullptr;
    int32_t major = 0, minor = 0, patch = 0;
    void *(*create_builder)(void *, int32_t) = nullptr;
    void *(*create_runtime)(void *, int32_t) = nullptr;
    void *(*create_parser)(void *, void *, int) = nullptr;
};

struct till_trt_blob {
    std::vector<unsigned char> bytes;
};

struct till_trt_engine {
    till_trt *lib = nullptr;
    std::unique_ptr<nvinfer1::IRuntime> runtime;
    std::unique_ptr<nvinfer1::ICudaEngine> engine; // goes before its runtime
};

struct till_trt_context {
    till_trt_engine *engine = nullptr;
    std::unique_ptr<nvinfer1::IExecutionContext> context;
    std::vector<void *> bindings;
};

namespace {

int32_t cuda_error(till_trt *lib, till_trt_error *error, const char *call, int code) {
    const char *text = lib->cuda.GetErrorString != nullptr ? lib->cuda.GetErrorString(code) : nullptr;
    return fail(error, TILL_TRT_CUDA, code, "%s: CUDA error %d (%s)", call, code, text != nullptr ? text : "no text");
}

int32_t no_cuda(till_trt_error *error) {
    return fail(error, TILL_TRT_LIBRARY, 0, "libcudart is not there: install CUDA's runtime, or JetPack");
}

bool load_cuda(Cuda &cuda, const char *name) {
    static const char *const names[] = {"libcudart.so",      "libcudart.so.10.2", "libcudart.so.11.0",
                                        "libcudart.so.12", "libcudart.so.13"};
    if (name != nullptr) cuda.handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    else
        for (const char *candidate : names)
            if ((cuda.handle = dlopen(candidate, RTLD_NOW | RTLD_LOCAL)) != nullptr) break;
    void *h = cuda.handle;
    return h != nullptr && symbol(h, "cudaGetDeviceCount", cuda.GetDeviceCount) &&
           symbol(h, "cudaGetErrorString", cuda.GetErrorString) && symbol(h, "cudaGetLastError", cuda.GetLastError) &&
           symbol(h, "cudaDeviceGetAttribute", cuda.DeviceGetAttribute) &&
           symbol(h, "cudaMemGetInfo", cuda.MemGetInfo) && symbol(h, "cudaDriverGetVersion", cuda.DriverGetVersion) &&
           symbol(h, "cudaRuntimeGetVersion", cuda.RuntimeGetVersion) &&
           symbol(h, "cudaDeviceReset", cuda.DeviceReset) &&
           symbol(h, "cudaStreamCreate", cuda.StreamCreate) && symbol(h, "cudaStreamDestroy", cuda.StreamDestroy) &&
           symbol(h, "cudaStreamSynchronize", cuda.StreamSynchronize) && symbol(h, "cudaMalloc", cuda.Malloc) &&
           symbol(h, "cudaFree", cuda.Free) && symbol(h, "cudaHostAlloc", cuda.HostAlloc) &&
           symbol(h, "cudaFreeHost", cuda.FreeHost) &&
           symbol(h, "cudaHostGetDevicePointer", cuda.HostGetDevicePointer) &&
           symbol(h, "cudaMemcpyAsync", cuda.MemcpyAsync);
}

void soname(char *out, size_t length, bool parser) {
#if RTX
    snprintf(out, length, parser ? "libtensorrt_onnxparser_rtx.so.%d" : "libtensorrt_rtx.so.%d", NV_TENSORRT_MAJOR);
#else
    snprintf(out, length, parser ? "libnvonnxparser.so.%d" : "libnvinfer.so.%d", NV_TENSORRT_MAJOR);
#endif
}

void fill(till_trt_info *info, const till_trt *lib) {
    info->header_major = NV_TENSORRT_MAJOR;
    info->header_minor = NV_TENSORRT_MINOR;
    info->rtx = RTX;
    info->weak_typing = WEAK;
    info->library_major = lib != nullptr ? lib->major : 0;
    info->library_minor = lib != nullptr ? lib->minor : 0;
    info->library_patch = lib != nullptr ? lib->patch : 0;
    info->has_parser = lib != nullptr && lib->create_parser != nullptr;
    info->has_cudart = lib != nullptr && lib->cuda.handle != nullptr;
}

std::unique_ptr<nvinfer1::IBuilder> new_builder(till_trt *lib) {
    return std::unique_ptr<nvinfer1::IBuilder>(
        static_cast<nvinfer1::IBuilder *>(lib->create_builder(&lib->logger, NV_TENSORRT_VERSION)));
}

#if WEAK
// One input only, which every engine of ours has.
template <typename Base> class Calibrator final : public Base {
public:
    Calibrator(till_trt *lib, const till_trt_calibrator &c) : lib_(lib), c_(c), host_(c.elements) {}
    ~Calibrator() {
        if (device_ != nullptr) lib_->cuda.Free(device_);
    }
    int32_t getBatchSize() const noexcept override { return c_.batch; }
    bool getBatch(void *bindings[], const char *[], int32_t count) noexcept override {
        const size_t bytes = host_.size() * sizeof(float);
        if (count != 1 || c_.next(c_.user, host_.data(), host_.size()) == 0) return false;
        if (device_ == nullptr && lib_->cuda.Malloc(&device_, bytes) != 0) return false;
        if (lib_->cuda.MemcpyAsync(device_, host_.data(), bytes, HOST_TO_DEVICE, nullptr) != 0) return false;
        if (lib_->cuda.StreamSynchronize(nullptr) != 0) return false;
        bindings[0] = device_;
        return true;
    }
    const void *readCalibrationCache(size_t &length) noexcept override {
        return c_.cache_read != nullptr ? c_.cache_read(c_.user, &length) : nullptr;
    }
    void writeCalibrationCache(const void *data, size_t length) noexcept override {
        if (c_.cache_write != nullptr) c_.cache_write(c_.user, data, length);
    }

private:
    till_trt *lib_;
    till_trt_calibrator c_;
    std::vector<float> host_;
    void *device_ = nullptr;
};
#endif

#if RTX || V >= 806
class Progress final : public nvinfer1::IProgressMonitor {
public:
    Progress(till_trt_progress report, void *user) : report_(report), user_(user) {}
    void phaseStart(const char *phase, const char *, int32_t steps) noexcept override {
        steps_ = steps;
        report_(user_, phase, 0, steps);
    }
    bool stepComplete(const char *phase, int32_t step) noexcept override {
        return report_(user_, phase, step + 1, steps_) != 0;
    }
    void phaseFinish(const char *) noexcept override {}

private:
    till_trt_progress report_;
    void *user_;
    int32_t steps_ = 0;
};
#endif

int32_t build(till_trt *lib, const void *onnx, size_t length, const till_trt_build_options &o, till_trt_blob **plan,
              till_trt_blob **timing, till_trt_error *error) {
    auto builder = new_builder(lib);
    if (!builder) return fail(error, TILL_TRT_CREATE, 0, "no builder");
#if !RTX && V < 1000
    const uint32_t flags = 1U << static_cast<uint32_t>(nvinfer1::NetworkDefinitionCreationFlag::kEXPLICIT_BATCH);
#else
    const uint32_t flags = 0;
#endif
    std::unique_ptr<nvinfer1::INetworkDefinition> network(builder->createNetworkV2(flags));
    if (!network) return fail(error, TILL_TRT_CREATE, 0, "no network");
    std::unique_ptr<nvonnxparser::IParser> parser(static_cast<nvonnxparser::IParser *>(
        lib->create_parser(network.get(), &lib->logger, NV_ONNX_PARSER_VERSION)));
    if (!parser) return fail(error, TILL_TRT_CREATE, 0, "no ONNX parser");
    if (!parser->parse(onnx, length)) {
        if (parser->getNbErrors() > 0) {
            const nvonnxparser::IParserError *e = parser->getError(0);
            return fail(error, TILL_TRT_PARSE, 0, "node %d: %s", e->node(), e->desc());
        }
        return fail(error, TILL_TRT_PARSE, 0, "the parser gives no reason");
    }
    std::unique_ptr<nvinfer1::IBuilderConfig> config(builder->createBuilderConfig());
    if (!config) return fail(error, TILL_TRT_CREATE, 0, "no builder config");
#if RTX || V >= 804
    config->setMemoryPoolLimit(nvinfer1::MemoryPoolType::kWORKSPACE, o.workspace_bytes);
#else
    config->setMaxWorkspaceSize(o.workspace_bytes);
#endif
#if WEAK
    std::unique_ptr<nvinfer1::IInt8Calibrator> calibrator;
    if (o.fp16 != 0) {
        if (!builder->platformHasFastFp16()) return fail(error, TILL_TRT_UNSUPPORTED, 0, "this GPU has no fast FP16");
        config->setFlag(nvinfer1::BuilderFlag::kFP16);
    }
    if (o.int8 != 0) {
        if (!builder->platformHasFastInt8()) return fail(error, TILL_TRT_UNSUPPORTED, 0, "this GPU has no fast INT8");
        config->setFlag(nvinfer1::BuilderFlag::kINT8);
        if (o.calibrator != nullptr) {
            if (o.calibrator->kind == 1)
                calibrator.reset(new Calibrator<nvinfer1::IInt8MinMaxCalibrator>(lib, *o.calibrator));
            else calibrator.reset(new Calibrator<nvinfer1::IInt8EntropyCalibrator2>(lib, *o.calibrator));
            config->setInt8Calibrator(calibrator.get());
        }
    }
#else
    if (o.fp16 != 0 || o.int8 != 0)
        return fail(error, TILL_TRT_UNSUPPORTED, 0,
                    "networks of this version are strongly typed: the model's own types are the plan's");
#endif
    if (o.dla_core >= 0) {
#if RTX
        return fail(error, TILL_TRT_UNSUPPORTED, 0, "TensorRT-RTX has no DLA");
#else
        if (o.dla_core >= builder->getNbDLACores())
            return fail(error, TILL_TRT_UNSUPPORTED, 0, "this board has %d DLA cores", builder->getNbDLACores());
        config->setDefaultDeviceType(nvinfer1::DeviceType::kDLA);
        config->setDLACore(o.dla_core);
        config->setFlag(nvinfer1::BuilderFlag::kGPU_FALLBACK);
#endif
    }
    std::unique_ptr<nvinfer1::ITimingCache> cache;
    if (timing != nullptr) {
        cache.reset(config->createTimingCache(o.timing_cache, o.timing_cache_length));
        // A cache of another version or GPU is refused; the build goes on with an empty one.
        if (cache && !config->setTimingCache(*cache, false)) cache.reset();
        if (!cache) {
            cache.reset(config->createTimingCache(nullptr, 0));
            if (cache && !config->setTimingCache(*cache, false)) cache.reset();
        }
    }
#if RTX || V >= 806
    std::unique_ptr<Progress> progress;
    if (o.progress != nullptr) {
        progress.reset(new Progress(o.progress, o.user));
        config->setProgressMonitor(progress.get());
    }
#endif
    std::unique_ptr<nvinfer1::IHostMemory> memory(builder->buildSerializedNetwork(*network, *config));
    if (!memory || memory->size() == 0) return fail(error, TILL_TRT_BUILD, 0, "the builder gave no plan");
    const auto copy = [](const nvinfer1::IHostMemory &m) {
        const auto *data = static_cast<const unsigned char *>(m.data());
        std::unique_ptr<till_trt_blob> blob(new till_trt_blob);
        blob->bytes.assign(data, data + m.size());
        return blob;
    };
    auto result = copy(*memory);
    if (cache) {
        std::unique_ptr<nvinfer1::IHostMemory> serialized(cache->serialize());
        if (serialized && serialized->size() != 0) *timing = copy(*serialized).release();
    }
    *plan = result.release();
    return TILL_TRT_OK;
}

bool dims_of(const nvinfer1::Dims &dims, till_trt_tensor *tensor) {
    if (dims.nbDims < 0 || dims.nbDims > TILL_TRT_DIMS_MAX) return false;
    tensor->rank = dims.nbDims;
    for (int32_t i = 0; i < dims.nbDims; ++i) tensor->dims[i] = dims.d[i];
    return true;
}

#if !BY_NAME
int32_t index_of(till_trt_context *context, const char *name, till_trt_error *error, int32_t *index) {
    *index = context->engine->engine->getBindingIndex(name);
    return *index >= 0 ? TILL_TRT_OK : fail(error, TILL_TRT_BIND, 0, "the engine has no tensor %s", name);
}
#endif

} // namespace

int32_t till_trt_header(till_trt_info *info, till_trt_error *error) {
    if (info == nullptr || info->size != sizeof *info) return fail(error, TILL_TRT_ARGUMENT, 0, "info");
    fill(info, nullptr);
    return TILL_TRT_OK;
}

int32_t till_trt_open(const till_trt_open_options *options, till_trt **out, till_trt_error *error) {
    return guarded(error, [&]() -> int32_t {
        if (options == nullptr || options->size != sizeof *options || out == nullptr)
            return fail(error, TILL_TRT_ARGUMENT, 0, "options");
        std::unique_ptr<till_trt> lib(new till_trt);
        lib->logger.log_ = options->log;
        lib->logger.user_ = options->user;
        char name[64];
        soname(name, sizeof name, false);
        lib->infer = dlopen(options->infer != nullptr ? options->infer : name, RTLD_NOW | RTLD_LOCAL);
        if (lib->infer == nullptr) return fail(error, TILL_TRT_LIBRARY, 0, "%s", dlerror());
        int32_t (*version)() = nullptr;
        if (!symbol(lib->infer, "getInferLibVersion", version) ||
            !symbol(lib->infer, "createInferBuilder_INTERNAL", lib->create_builder) ||
            !symbol(lib->infer, "createInferRuntime_INTERNAL", lib->create_runtime))
            return fail(error, TILL_TRT_LIBRARY, 0, "%s", dlerror());
        // Before any object is made: of another minor version the classes have other tables, and a call crashes.
        decode(version(), &lib->major, &lib->minor, &lib->patch);
        if (lib->major != NV_TENSORRT_MAJOR || lib->minor != NV_TENSORRT_MINOR)
            return fail(error, TILL_TRT_VERSION, 0, "the library is %d.%d.%d, this program was built for %d.%d",
                        lib->major, lib->minor, lib->patch, NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR);
        soname(name, sizeof name, true);
        lib->parser = dlopen(options->parser != nullptr ? options->parser : name, RTLD_NOW | RTLD_LOCAL);
        if (lib->parser != nullptr) symbol(lib->parser, "createNvOnnxParser_INTERNAL", lib->create_parser);
        if (!load_cuda(lib->cuda, options->cudart)) lib->cuda = Cuda();
        *out = lib.release();
        return TILL_TRT_OK;
    });
}

// The libraries stay loaded: TensorRT and CUDA keep threads and exit handlers of their own.
void till_trt_close(till_trt *lib) { delete lib; }

int32_t till_trt_library(till_trt *lib, till_trt_info *info, till_trt_error *error) {
    if (lib == nullptr || info == nullptr || info->size != sizeof *info)
        return fail(error, TILL_TRT_ARGUMENT, 0, "info");
    fill(info, lib);
    return TILL_TRT_OK;
}

int32_t till_trt_probe(till_trt *lib, till_trt_device *device, till_trt_error *error) {
    return guarded(error, [&]() -> int32_t {
        if (lib == nullptr || device == nullptr || device->size != sizeof *device)
            return fail(error, TILL_TRT_ARGUMENT, 0, "device");
        const Cuda &cuda = lib->cuda;
        if (cuda.handle == nullptr) return no_cuda(error);
        int count = 0;
        int code = cuda.GetDeviceCount(&count);
        if (code != 0) return cuda_error(lib, error, "cudaGetDeviceCount", code);
        if (count == 0) return fail(error, TILL_TRT_CUDA, 100, "CUDA sees no GPU");
        const struct {
            int attribute;
            int32_t *value;
        } wanted[] = {{75, &device->cc_major},    {76, &device->cc_minor}, {16, &device->multiprocessors},
                      {18, &device->integrated}, {19, &device->can_map}};
        for (const auto &w : wanted) {
            int value = 0;
            if ((code = cuda.DeviceGetAttribute(&value, w.attribute, 0)) != 0)
                return cuda_error(lib, error, "cudaDeviceGetAttribute", code);
            *w.value = value;
        }
        size_t unused = 0, total = 0;
        if ((code = cuda.MemGetInfo(&unused, &total)) != 0) return cuda_error(lib, error, "cudaMemGetInfo", code);
        device->memory_bytes = total;
        int driver = 0, runtime = 0;
        if ((code = cuda.DriverGetVersion(&driver)) != 0) return cuda_error(lib, error, "cudaDriverGetVersion", code);
        if ((code = cuda.RuntimeGetVersion(&runtime)) != 0)
            return cuda_error(lib, error, "cudaRuntimeGetVersion", code);
        device->driver = driver;
        device->runtime = runtime;
        return TILL_TRT_OK;
    });
}

int32_t till_trt_platform(till_trt *lib, till_trt_platform_info *info, till_trt_error *error) {
    return guarded(error, [&]() -> int32_t {
        if (lib == nullptr || info == nullptr || info->size != sizeof *info)
            return fail(error, TILL_TRT_ARGUMENT, 0, "info");
        auto builder = new_builder(lib);
        if (!builder) return fail(error, TILL_TRT_CREATE, 0, "no builder");
        info->fp16 = info->int8 = info->dla_cores = 0;
#if WEAK
        info->fp16 = builder->platformHasFastFp16();
        info->int8 = builder->platformHasFastInt8();
#endif
#if !RTX
        info->dla_cores = builder->getNbDLACores();
#endif
        return TILL_TRT_OK;
    });
}

int32_t till_trt_build(till_trt *lib, const void *onnx, size_t length, const till_trt_build_options *options,
                       till_trt_blob **plan, till_trt_blob **timing_cache, till_trt_error *error) {
    return guarded(error, [&]() -> int32_t {
        if (lib == nullptr || onnx == nullptr || options == nullptr || options->size != sizeof *options ||
            plan == nullptr ||
            (options->calibrator != nullptr && options->calibrator->size != sizeof(till_trt_calibrator)))
            return fail(error, TILL_TRT_ARGUMENT, 0, "options");
        if (lib->create_parser == nullptr)
            return fail(error, TILL_TRT_LIBRARY, 0, "the ONNX parser's library is not there");
        return build(lib, onnx, length, *options, plan, timing_cache, error);
    });
}

const void *till_trt_blob_data(const till_trt_blob *blob) { return blob->bytes.data(); }
size_t till_trt_blob_length(const till_trt_blob *blob) { return blob->bytes.size(); }
void till_trt_blob_free(till_trt_blob *blob) { delete blob; }

int32_t till_trt_engine_load(till_trt *lib, const void *plan, size_t length, int32_t dla_core, till_trt_engine **out,
                             till_trt_error *error) {
    return guarded(error, [&]() -> int32_t {
        if (lib == nullptr || plan == nullptr || out == nullptr) return fail(error, TILL_TRT_ARGUMENT, 0, "plan");
        std::unique_ptr<till_trt_engine> engine(new till_trt_engine);
        engine->lib = lib;
        engine->runtime.reset(
            static_cast<nvinfer1::IRuntime *>(lib->create_runtime(&lib->logger, NV_TENSORRT_VERSION)));
        if (!engine->runtime) return fail(error, TILL_TRT_CREATE, 0, "no runtime");
        if (dla_core >= 0) {
#if RTX
            return fail(error, TILL_TRT_UNSUPPORTED, 0, "TensorRT-RTX has no DLA");
#else
            engine->runtime->setDLACore(dla_core);
#endif
        }
        engine->engine.reset(engine->runtime->deserializeCudaEngine(plan, length));
        if (!engine->engine) return fail(error, TILL_TRT_LOAD, 0, "the plan is refused");
        *out = engine.release();
        return TILL_TRT_OK;
    });
}

void till_trt_engine_free(till_trt_engine *engine) { delete engine; }

int32_t till_trt_engine_count(till_trt_engine *engine, int32_t *count, till_trt_error *error) {
    return guarded(error, [&]() -> int32_t {
        if (engine == nullptr || count == nullptr) return fail(error, TILL_TRT_ARGUMENT, 0, "engine");
#if BY_NAME
        *count = engine->engine->getNbIOTensors();
#else
        *count = engine->engine->getNbBindings();
#endif
        return TILL_TRT_OK;
    });
}

int32_t till_trt_engine_tensor(till_trt_engine *engine, int32_t index, till_trt_tensor *tensor, till_trt_error *error) {
    return guarded(error, [&]() -> int32_t {
        if (engine == nullptr || tensor == nullptr || tensor->size != sizeof *tensor)
            return fail(error, TILL_TRT_ARGUMENT, 0, "tensor");
        nvinfer1::ICudaEngine &e = *engine->engine;
#if BY_NAME
        const char *name = e.getIOTensorName(index);
        if (name == nullptr) return fail(error, TILL_TRT_ARGUMENT, 0, "no tensor %d", index);
        tensor->is_input = e.getTensorIOMode(name) == nvinfer1::TensorIOMode::kINPUT;
        tensor->data_type = static_cast<int32_t>(e.getTensorDataType(name));
        const nvinfer1::Dims dims = e.getTensorShape(name);
#else
        const char *name = e.getBindingName(index);
        if (name == nullptr) return fail(error, TILL_TRT_ARGUMENT, 0, "no tensor %d", index);
        tensor->is_input = e.bindingIsInput(index);
        tensor->data_type = static_cast<int32_t>(e.getBindingDataType(index));
        const nvinfer1::Dims dims = e.getBindingDimensions(index);
#endif
        if (strlen(name) >= sizeof tensor->name || !dims_of(dims, tensor))
            return fail(error, TILL_TRT_LOAD, 0, "tensor %d has a name or a rank that is too long", index);
        memcpy(tensor->name, name, strlen(name) + 1);
        return TILL_TRT_OK;
    });
}

int32_t till_trt_context_new(till_trt_engine *engine, till_trt_context **out, till_trt_error *error) {
    return guarded(error, [&]() -> int32_t {
        if (engine == nullptr || out == nullptr) return fail(error, TILL_TRT_ARGUMENT, 0, "engine");
        std::unique_ptr<till_trt_context> context(new till_trt_context);
        context->engine = engine;
        context->context.reset(engine->engine->createExecutionContext());
        if (!context->context) return fail(error, TILL_TRT_CREATE, 0, "no execution context: memory may be short");
#if !BY_NAME
        context->bindings.assign(engine->engine->getNbBindings(), nullptr);
#endif
        *out = context.release();
        return TILL_TRT_OK;
    });
}

void till_trt_context_free(till_trt_context *context) { delete context; }

int32_t till_trt_context_shape(till_trt_context *context, const char *name, const int64_t *dims, int32_t rank,
                               till_trt_error *error) {
    return guarded(error, [&]() -> int32_t {
        if (context == nullptr || name == nullptr || dims == nullptr || rank < 0 || rank > TILL_TRT_DIMS_MAX)
            return fail(error, TILL_TRT_ARGUMENT, 0, "dims");
        nvinfer1::Dims shape{};
        shape.nbDims = rank;
        for (int32_t i = 0; i < rank; ++i) {
            // Dims::d is 32 bits wide before 10.
            if (dims[i] < 0 || dims[i] > INT32_MAX) return fail(error, TILL_TRT_ARGUMENT, 0, "dimension %d", i);
            shape.d[i] = static_cast<int32_t>(dims[i]);
        }
#if BY_NAME
        const bool ok = context->context->setInputShape(name, shape);
#else
        int32_t index = 0;
        if (index_of(context, name, error, &index) != TILL_TRT_OK) return TILL_TRT_BIND;
        const bool ok = context->context->setBindingDimensions(index, shape);
#endif
        return ok ? TILL_TRT_OK : fail(error, TILL_TRT_BIND, 0, "the shape of %s is refused", name);
    });
}

int32_t till_trt_context_bind(till_trt_context *context, const char *name, void *device, till_trt_error *error) {
    return guarded(error, [&]() -> int32_t {
        if (context == nullptr || name == nullptr || device == nullptr)
            return fail(error, TILL_TRT_ARGUMENT, 0, "address");
        if (reinterpret_cast<uintptr_t>(device) % 256 != 0)
            return fail(error, TILL_TRT_BIND, 0, "the address of %s is not aligned to 256 bytes", name);
#if BY_NAME
        if (!context->context->setTensorAddress(name, device))
            return fail(error, TILL_TRT_BIND, 0, "the address of %s is refused", name);
#else
        int32_t index = 0;
        if (index_of(context, name, error, &index) != TILL_TRT_OK) return TILL_TRT_BIND;
        context->bindings[static_cast<size_t>(index)] = device;
#endif
        return TILL_TRT_OK;
    });
}

int32_t till_trt_context_enqueue(till_trt_context *context, void *stream, till_trt_error *error) {
    return guarded(error, [&]() -> int32_t {
        if (context == nullptr) return fail(error, TILL_TRT_ARGUMENT, 0, "context");
        const auto s = static_cast<cudaStream_t>(stream);
#if BY_NAME
        const bool ok = context->context->enqueueV3(s);
#else
        for (size_t i = 0; i < context->bindings.size(); ++i)
            if (context->bindings[i] == nullptr) return fail(error, TILL_TRT_BIND, 0, "tensor %zu has no address", i);
        const bool ok = context->context->enqueueV2(context->bindings.data(), s, nullptr);
#endif
        if (ok) return TILL_TRT_OK;
        // TensorRT only says no; CUDA may know why, and whether the context is lost.
        const Cuda &cuda = context->engine->lib->cuda;
        const int code = cuda.GetLastError != nullptr ? cuda.GetLastError() : 0;
        return fail(error, TILL_TRT_ENQUEUE, code, "enqueue failed, CUDA error %d", code);
    });
}

int32_t till_trt_stream_new(till_trt *lib, void **stream, till_trt_error *error) {
    if (lib == nullptr || stream == nullptr) return fail(error, TILL_TRT_ARGUMENT, 0, "stream");
    if (lib->cuda.handle == nullptr) return no_cuda(error);
    const int code = lib->cuda.StreamCreate(stream);
    return code == 0 ? TILL_TRT_OK : cuda_error(lib, error, "cudaStreamCreate", code);
}

void till_trt_stream_free(till_trt *lib, void *stream) {
    if (lib != nullptr && stream != nullptr && lib->cuda.handle != nullptr) lib->cuda.StreamDestroy(stream);
}

int32_t till_trt_stream_wait(till_trt *lib, void *stream, till_trt_error *error) {
    if (lib == nullptr || lib->cuda.handle == nullptr) return fail(error, TILL_TRT_ARGUMENT, 0, "stream");
    const int code = lib->cuda.StreamSynchronize(stream);
    return code == 0 ? TILL_TRT_OK : cuda_error(lib, error, "cudaStreamSynchronize", code);
}

int32_t till_trt_alloc(till_trt *lib, int32_t kind, size_t bytes, void **host, void **device, till_trt_error *error) {
    if (lib == nullptr || host == nullptr || device == nullptr || bytes == 0)
        return fail(error, TILL_TRT_ARGUMENT, 0, "memory");
    if (lib->cuda.handle == nullptr) return no_cuda(error);
    *host = *device = nullptr;
    const Cuda &cuda = lib->cuda;
    int code = 0;
    switch (kind) {
    case TILL_TRT_DEVICE:
        code = cuda.Malloc(device, bytes);
        return code == 0 ? TILL_TRT_OK : cuda_error(lib, error, "cudaMalloc", code);
    case TILL_TRT_PINNED:
        code = cuda.HostAlloc(host, bytes, 0);
        return code == 0 ? TILL_TRT_OK : cuda_error(lib, error, "cudaHostAlloc", code);
    case TILL_TRT_MAPPED:
        if ((code = cuda.HostAlloc(host, bytes, HOST_ALLOC_MAPPED)) != 0)
            return cuda_error(lib, error, "cudaHostAlloc", code);
        if ((code = cuda.HostGetDevicePointer(device, *host, 0)) != 0) {
            cuda.FreeHost(*host);
            *host = nullptr;
            return cuda_error(lib, error, "cudaHostGetDevicePointer", code);
        }
        return TILL_TRT_OK;
    default: return fail(error, TILL_TRT_ARGUMENT, 0, "memory of kind %d", kind);
    }
}

void till_trt_free(till_trt *lib, int32_t kind, void *host, void *device) {
    if (lib == nullptr || lib->cuda.handle == nullptr) return;
    if (kind == TILL_TRT_DEVICE) lib->cuda.Free(device);
    else lib->cuda.FreeHost(host);
}

int32_t till_trt_copy(till_trt *lib, void *stream, void *to, const void *from, size_t bytes, int32_t to_device,
                      till_trt_error *error) {
    if (lib == nullptr || lib->cuda.handle == nullptr || to == nullptr || from == nullptr)
        return fail(error, TILL_TRT_ARGUMENT, 0, "copy");
    const int kind = to_device != 0 ? HOST_TO_DEVICE : DEVICE_TO_HOST;
    const int code = lib->cuda.MemcpyAsync(to, from, bytes, kind, stream);
    return code == 0 ? TILL_TRT_OK : cuda_error(lib, error, "cudaMemcpyAsync", code);
}

int32_t till_trt_reset(till_trt *lib, till_trt_error *error) {
    if (lib == nullptr || lib->cuda.handle == nullptr) return fail(error, TILL_TRT_ARGUMENT, 0, "library");
    const int code = lib->cuda.DeviceReset();
    return code == 0 ? TILL_TRT_OK : cuda_error(lib, error, "cudaDeviceReset", code);
}
