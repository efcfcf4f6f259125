// A TensorRT for tests: the classes that the shim calls, compiled from NVIDIA's headers, with ONNX Runtime behind
// enqueue. One library stands in for libnvinfer, libnvonnxparser and libcudart. Never packaged.
//
// TensorRT's classes call virtual functions of a hidden object (mImpl) with dozens of entries. Here that object's
// table is filled by hand: each entry that the shim needs by the header's own member pointer, all others end the
// process with their number.
//
// Faults are planted as world.h says.
#include <NvInfer.h>
#include <NvOnnxParser.h>

#include <memory>

#include "ort.h"
#include "world.h"

using namespace nvinfer1;

namespace {

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
        misbehave();
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
        wrong(static_cast<float *>(out[0]), session.outputs[0].elements());
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

#include "entry.h"
