// A TensorRT for tests: the classes that the shim calls, compiled from NVIDIA's headers, with ONNX Runtime behind
// enqueue. One library stands in for libnvinfer, libnvonnxparser and libcudart. Never packaged.
//
// TensorRT's classes call virtual functions of a hidden object (mImpl) with dozens of entries. Here that object's
// table is filled by hand: each entry that the shim needs by the header's own member pointer, all others end the
// process with their number.
//
// Beside the library may lie a file `faults`, read at each call; each line is a fault:
//   CALL [CODE [COUNT]]   the call fails, COUNT times (always without it); CODE is CUDA's error, which sticks until
//                         the device is reset when it is one of those that do
//   device MAJOR MINOR INTEGRATED    the GPU that is played
// The file `live` beside it says how many objects and allocations there are.
#include <NvInfer.h>
#include <NvOnnxParser.h>

#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>

#include "ort.h"

using namespace nvinfer1;

namespace {

std::string folder() {
    Dl_info info;
    dladdr(reinterpret_cast<void *>(&folder), &info);
    const std::string path = info.dli_fname;
    return path.substr(0, path.rfind('/'));
}

std::mutex mutex;
std::map<std::string, int> fired;
std::map<std::string, int> alive;
int sticky = 0;

void count(const char *what, int change) {
    std::lock_guard<std::mutex> lock(mutex);
    alive[what] += change;
    std::ofstream file(folder() + "/live");
    for (const auto &pair : alive) file << pair.first << ' ' << pair.second << '\n';
}

/// The fault planted for `call`: CUDA's code, or -1 for one without; 0 for none.
int fault(const std::string &call) {
    std::lock_guard<std::mutex> lock(mutex);
    std::ifstream file(folder() + "/faults");
    std::string line;
    while (std::getline(file, line)) {
        std::istringstream words(line);
        std::string name;
        int code = -1, times = 1 << 30;
        words >> name;
        if (name != call) continue;
        if (!(words >> code)) code = -1;
        if (!(words >> times)) times = 1 << 30;
        if (fired[call]++ >= times) continue;
        if (code >= 700) sticky = code;
        return code;
    }
    return 0;
}

/// As above for CUDA's functions, where every call fails once the device is lost.
int cuda(const char *call) {
    const int code = fault(call);
    if (code != 0) return code < 0 ? 1 : code;
    return sticky;
}

void device(int *major, int *minor, int *integrated) {
    *major = 8, *minor = 7, *integrated = 0;
    std::ifstream file(folder() + "/faults");
    std::string line, word;
    while (std::getline(file, line)) {
        std::istringstream words(line);
        if (words >> word && word == "device") words >> *major >> *minor >> *integrated;
    }
}

template <int N> void unexpected() {
    fprintf(stderr, "stub: virtual function %d was called, which the shim never does\n", N);
    abort();
}
template <int N> struct Fill {
    static void into(void **table) {
        table[N] = reinterpret_cast<void *>(&unexpected<N>);
        Fill<N - 1>::into(table);
    }
};
template <> struct Fill<-1> {
    static void into(void **) {}
};

/// Place of a virtual function in its class's table, by the Itanium ABI's member pointer.
template <typename F> size_t place(F method) {
    struct {
        uintptr_t pointer;
        ptrdiff_t adjustment;
    } raw;
    static_assert(sizeof raw == sizeof method, "a member pointer of another ABI");
    memcpy(&raw, &method, sizeof raw);
#ifdef __aarch64__
    return raw.pointer / sizeof(void *);
#else
    return (raw.pointer - 1) / sizeof(void *);
#endif
}

/// The hidden object: a table pointer and whom it belongs to.
template <typename Owner> struct Hidden {
    void **table;
    Owner *owner;
    void *entries[200];

    explicit Hidden(Owner *o) : table(entries), owner(o) { Fill<199>::into(entries); }
    template <typename M, typename F> void set(M method, F function) {
        entries[place(method)] = reinterpret_cast<void *>(function);
    }
    template <typename T> T *as() { return reinterpret_cast<T *>(this); }
};

class Counted {
public:
    explicit Counted(const char *what) : what_(what) { count(what_, 1); }
    ~Counted() { count(what_, -1); }

private:
    const char *what_;
};

void say(ILogger *logger, ILogger::Severity severity, const std::string &text) { logger->log(severity, text.c_str()); }

class Memory final : public IHostMemory, Counted {
public:
    explicit Memory(std::string bytes) : Counted("memories"), bytes_(std::move(bytes)), hidden_(this) {
        hidden_.set(&apiv::VHostMemory::data, +[](Hidden<Memory> *h) -> void * { return &h->owner->bytes_[0]; });
        hidden_.set(&apiv::VHostMemory::size, +[](Hidden<Memory> *h) { return h->owner->bytes_.size(); });
        mImpl = hidden_.as<apiv::VHostMemory>();
    }

private:
    std::string bytes_;
    Hidden<Memory> hidden_;
};

class Cache final : public ITimingCache, Counted {
public:
    explicit Cache(bool good) : Counted("caches"), good(good), hidden_(this) {
        hidden_.set(&apiv::VTimingCache::serialize, +[](Hidden<Cache> *) -> IHostMemory * { return new Memory("timings"); });
        mImpl = hidden_.as<apiv::VTimingCache>();
    }
    const bool good;

private:
    Hidden<Cache> hidden_;
};

class Config final : public IBuilderConfig, Counted {
public:
    Config() : Counted("configs"), hidden_(this) {
        using VConfig = apiv::VBuilderConfig;
        hidden_.set(&VConfig::setMemoryPoolLimit, +[](Hidden<Config> *, MemoryPoolType, size_t) {});
        hidden_.set(&VConfig::createTimingCache, +[](Hidden<Config> *, const void *data, size_t size) -> ITimingCache * {
            return new Cache(size == 0 || std::string(static_cast<const char *>(data), size) == "timings");
        });
        hidden_.set(&VConfig::setTimingCache, +[](Hidden<Config> *, const ITimingCache &cache, bool) {
            return static_cast<const Cache &>(cache).good;
        });
        hidden_.set(&VConfig::setProgressMonitor, +[](Hidden<Config> *h, IProgressMonitor *m) { h->owner->monitor = m; });
        mImpl = hidden_.as<VConfig>();
    }
    IProgressMonitor *monitor = nullptr;

private:
    Hidden<Config> hidden_;
};

class Network final : public INetworkDefinition, Counted {
public:
    Network() : Counted("networks") { mImpl = nullptr; }
    std::string onnx;
};

const char MAGIC[] = "STUBPLAN";

class Builder final : public IBuilder, Counted {
public:
    explicit Builder(ILogger *logger) : Counted("builders"), logger_(logger), hidden_(this) {
        using VB = apiv::VBuilder;
        hidden_.set(&VB::createNetworkV2, +[](Hidden<Builder> *, NetworkDefinitionCreationFlags) -> INetworkDefinition * {
            return fault("network") != 0 ? nullptr : new Network;
        });
        hidden_.set(&VB::createBuilderConfig, +[](Hidden<Builder> *) -> IBuilderConfig * {
            return fault("config") != 0 ? nullptr : new Config;
        });
        hidden_.set(&VB::getNbDLACores, +[](Hidden<Builder> *) { return int32_t{0}; });
        hidden_.set(&VB::buildSerializedNetwork, +[](Hidden<Builder> *h, INetworkDefinition &n, IBuilderConfig &c) {
            return h->owner->build(static_cast<Network &>(n), static_cast<Config &>(c));
        });
        mImpl = hidden_.as<VB>();
    }

private:
    IHostMemory *build(Network &network, Config &config) {
        if (fault("crash") != 0) abort();
        if (fault("hang") != 0) pause();
        if (fault("hog") != 0) {
            // More than any limit of a test, touched, and held until the watcher comes.
            static std::vector<std::string> held;
            for (int i = 0; i < 100000; ++i) held.emplace_back(1 << 20, 'x');
        }
        for (int step = 0; config.monitor != nullptr && step < 3; ++step) {
            if (step == 0) config.monitor->phaseStart("Building", nullptr, 3);
            if (!config.monitor->stepComplete("Building", step)) return nullptr;
        }
        if (config.monitor != nullptr) config.monitor->phaseFinish("Building");
        if (fault("build") != 0) {
            say(logger_, ILogger::Severity::kERROR, "Error Code 10: Could not find any implementation for node stub");
            return nullptr;
        }
        return new Memory(MAGIC + network.onnx);
    }
    ILogger *logger_;
    Hidden<Builder> hidden_;
};

class ParseError final : public nvonnxparser::IParserError {
public:
    std::string text;
    nvonnxparser::ErrorCode code() const override { return nvonnxparser::ErrorCode::kMODEL_DESERIALIZE_FAILED; }
    const char *desc() const override { return text.c_str(); }
    const char *file() const override { return "stub"; }
    int line() const override { return 0; }
    const char *func() const override { return "parse"; }
    int node() const override { return -1; }
    const char *nodeName() const override { return ""; }
    const char *nodeOperator() const override { return ""; }
    const char *const *localFunctionStack() const override { return nullptr; }
    int32_t localFunctionStackSize() const override { return 0; }
};

class Parser final : public nvonnxparser::IParser, Counted {
public:
    explicit Parser(Network *network) : Counted("parsers"), network_(network) {}
    bool parse(const void *model, size_t size, const char *) noexcept override {
        const std::string onnx(static_cast<const char *>(model), size);
        try {
            if (fault("parse") != 0) throw std::runtime_error("planted");
            ort::Session session(onnx);
        } catch (const std::exception &e) {
            error_.text = e.what();
            failed_ = true;
            return false;
        }
        network_->onnx = onnx;
        return true;
    }
    int getNbErrors() const noexcept override { return failed_ ? 1 : 0; }
    const nvonnxparser::IParserError *getError(int) const noexcept override { return &error_; }
    void clearErrors() noexcept override { failed_ = false; }
    bool parseFromFile(const char *, int) noexcept override { return false; }
    bool supportsOperator(const char *) const noexcept override { return true; }
    const char *const *getUsedVCPluginLibraries(int64_t &n) const noexcept override { n = 0; return nullptr; }
    void setFlags(nvonnxparser::OnnxParserFlags) noexcept override {}
    nvonnxparser::OnnxParserFlags getFlags() const noexcept override { return 0; }
    void clearFlag(nvonnxparser::OnnxParserFlag) noexcept override {}
    void setFlag(nvonnxparser::OnnxParserFlag) noexcept override {}
    bool getFlag(nvonnxparser::OnnxParserFlag) const noexcept override { return false; }
    const ITensor *getLayerOutputTensor(const char *, int64_t) noexcept override { return nullptr; }
    bool supportsModelV2(const void *, size_t, const char *) noexcept override { return true; }
    int64_t getNbSubgraphs() noexcept override { return 0; }
    bool isSubgraphSupported(int64_t const) noexcept override { return false; }
    int64_t *getSubgraphNodes(int64_t const, int64_t &) noexcept override { return nullptr; }
    bool loadModelProto(const void *, size_t, const char *) noexcept override { return false; }
    bool loadInitializer(const char *, const void *, size_t) noexcept override { return false; }
    bool parseModelProto() noexcept override { return false; }
    bool setBuilderConfig(const IBuilderConfig *const) noexcept override { return false; }
    void setRefitObserver(nvonnxparser::IRefitterObserver *) noexcept override {}

private:
    Network *network_;
    ParseError error_;
    bool failed_ = false;
};

class Context;

class Engine final : public ICudaEngine, Counted {
public:
    explicit Engine(const std::string &onnx) : Counted("engines"), session(onnx), hidden_(this) {
        using VE = apiv::VCudaEngine;
        hidden_.set(&VE::getNbIOTensors, +[](Hidden<Engine> *h) { return static_cast<int32_t>(h->owner->size()); });
        hidden_.set(&VE::getIOTensorName, +[](Hidden<Engine> *h, int32_t i) -> const char * {
            const bool known = i >= 0 && static_cast<size_t>(i) < h->owner->size();
            return known ? h->owner->tensor(static_cast<size_t>(i)).name.c_str() : nullptr;
        });
        hidden_.set(&VE::getTensorIOMode, +[](Hidden<Engine> *h, const char *name) {
            for (const auto &t : h->owner->session.inputs)
                if (t.name == name) return TensorIOMode::kINPUT;
            return TensorIOMode::kOUTPUT;
        });
        hidden_.set(&VE::getTensorDataType, +[](Hidden<Engine> *h, const char *name) {
            return h->owner->find(name)->type == 1 ? DataType::kFLOAT : DataType::kINT32;
        });
        hidden_.set(&VE::getTensorShape, +[](Hidden<Engine> *h, const char *name) {
            Dims dims{};
            const ort::Tensor *t = h->owner->find(name);
            dims.nbDims = static_cast<int32_t>(t->dims.size());
            for (size_t i = 0; i < t->dims.size(); ++i) dims.d[i] = t->dims[i];
            return dims;
        });
        hidden_.set(&VE::createExecutionContext,
                    +[](Hidden<Engine> *h, ExecutionContextAllocationStrategy) { return h->owner->context(); });
        mImpl = hidden_.as<VE>();
    }
    size_t size() const { return session.inputs.size() + session.outputs.size(); }
    const ort::Tensor &tensor(size_t i) const {
        return i < session.inputs.size() ? session.inputs[i] : session.outputs[i - session.inputs.size()];
    }
    const ort::Tensor *find(const char *name) const {
        for (size_t i = 0; i < size(); ++i)
            if (tensor(i).name == name) return &tensor(i);
        return nullptr;
    }
    ort::Session session;

private:
    IExecutionContext *context();
    Hidden<Engine> hidden_;
};

class Context final : public IExecutionContext, Counted {
public:
    explicit Context(Engine *engine) : Counted("contexts"), engine_(engine), hidden_(this) {
        using VC = apiv::VExecutionContext;
        hidden_.set(&VC::setTensorAddress, +[](Hidden<Context> *h, const char *name, void *address) {
            if (h->owner->engine_->find(name) == nullptr || fault("bind") != 0) return false;
            h->owner->addresses_[name] = address;
            return true;
        });
        hidden_.set(&VC::setInputShape, +[](Hidden<Context> *, const char *, const Dims &) { return true; });
        hidden_.set(&VC::enqueueV3, +[](Hidden<Context> *h, cudaStream_t) { return h->owner->enqueue(); });
        mImpl = hidden_.as<VC>();
    }

private:
    bool enqueue() {
        if (sticky != 0 || fault("enqueue") != 0) return false;
        const ort::Session &session = engine_->session;
        std::vector<void *> in, out;
        for (const auto &t : session.inputs) in.push_back(addresses_.at(t.name));
        for (const auto &t : session.outputs) out.push_back(addresses_.at(t.name));
        session.run(in, out);
        // A builder that gets its numbers wrong, as FP16 on some boards did.
        if (fault("numbers") != 0)
            for (size_t i = 0; i < session.outputs[0].elements(); ++i) static_cast<float *>(out[0])[i] += 0.25F;
        return true;
    }
    Engine *engine_;
    std::map<std::string, void *> addresses_;
    Hidden<Context> hidden_;
};

IExecutionContext *Engine::context() { return fault("context") != 0 ? nullptr : new Context(this); }

class Runtime final : public IRuntime, Counted {
public:
    explicit Runtime(ILogger *logger) : Counted("runtimes"), logger_(logger), hidden_(this) {
        hidden_.set(&apiv::VRuntime::deserializeCudaEngine,
                    +[](Hidden<Runtime> *h, const void *blob, size_t size) -> ICudaEngine * {
                        return h->owner->load(std::string(static_cast<const char *>(blob), size));
                    });
        mImpl = hidden_.as<apiv::VRuntime>();
    }

private:
    ICudaEngine *load(const std::string &plan) {
        const size_t magic = sizeof MAGIC - 1;
        if (sticky != 0 || fault("load") != 0 || plan.compare(0, magic, MAGIC) != 0) {
            say(logger_, ILogger::Severity::kERROR, "Error Code 1: Serialization (Serialization assertion magicTag failed)");
            return nullptr;
        }
        return new Engine(plan.substr(magic));
    }
    ILogger *logger_;
    Hidden<Runtime> hidden_;
};

} // namespace

extern "C" {

int32_t getInferLibVersion() noexcept {
    if (fault("version") != 0) return 5105;
    return NV_TENSORRT_VERSION;
}
void *createInferBuilder_INTERNAL(void *logger, int32_t) noexcept {
    return fault("builder") != 0 ? nullptr : static_cast<IBuilder *>(new Builder(static_cast<ILogger *>(logger)));
}
void *createInferRuntime_INTERNAL(void *logger, int32_t) noexcept {
    return fault("runtime") != 0 ? nullptr : static_cast<IRuntime *>(new Runtime(static_cast<ILogger *>(logger)));
}
void *createNvOnnxParser_INTERNAL(void *network, void *, int) noexcept {
    if (fault("parser") != 0) return nullptr;
    return static_cast<nvonnxparser::IParser *>(new Parser(static_cast<Network *>(static_cast<INetworkDefinition *>(network))));
}

// CUDA's runtime. Device memory is plain memory here, so a forgotten copy shows as wrong numbers, not as a crash.
int cudaGetDeviceCount(int *n) { *n = fault("nogpu") != 0 ? 0 : 1; return cuda("cudaGetDeviceCount"); }
const char *cudaGetErrorString(int) { return "planted"; }
int cudaGetLastError() { return sticky; }
int cudaDeviceGetAttribute(int *value, int attribute, int) {
    int major, minor, integrated;
    device(&major, &minor, &integrated);
    switch (attribute) {
    case 75: *value = major; break;
    case 76: *value = minor; break;
    case 16: *value = 1; break;
    default: *value = integrated; break;
    }
    return cuda("cudaDeviceGetAttribute");
}
int cudaMemGetInfo(size_t *unused, size_t *total) {
    *unused = *total = size_t{3964} << 20;
    return cuda("cudaMemGetInfo");
}
int cudaDriverGetVersion(int *v) { *v = 10020; return 0; }
int cudaRuntimeGetVersion(int *v) { *v = 10020; return 0; }
int cudaDeviceReset() {
    const int code = fault("cudaDeviceReset");
    if (code == 0) sticky = 0;
    return code < 0 ? 1 : code;
}
int cudaStreamCreate(void **stream) {
    const int code = cuda("cudaStreamCreate");
    if (code != 0) return code;
    *stream = new int(0);
    count("streams", 1);
    return 0;
}
int cudaStreamDestroy(void *stream) {
    delete static_cast<int *>(stream);
    count("streams", -1);
    return 0;
}
int cudaStreamSynchronize(void *) { return cuda("cudaStreamSynchronize"); }
static int allocate(const char *call, void **at, size_t bytes) {
    const int code = cuda(call);
    if (code != 0) return code;
    // Filled, so that memory that is read before it is written shows.
    *at = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    memset(*at, 0x7f, bytes);
    count("allocations", 1);
    return 0;
}
int cudaMalloc(void **at, size_t bytes) { return allocate("cudaMalloc", at, bytes); }
int cudaHostAlloc(void **at, size_t bytes, unsigned) { return allocate("cudaHostAlloc", at, bytes); }
int cudaFree(void *at) { free(at); count("allocations", -1); return 0; }
int cudaFreeHost(void *at) { free(at); count("allocations", -1); return 0; }
int cudaHostGetDevicePointer(void **at, void *host, unsigned) { *at = host; return cuda("cudaHostGetDevicePointer"); }
int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int, void *) {
    const int code = cuda("cudaMemcpyAsync");
    if (code == 0) memcpy(to, from, bytes);
    return code;
}
}
