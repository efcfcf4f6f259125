// A TensorRT for tests, for the versions whose headers are in no registry: the classes of tests/it/shim, which are our
// own declarations, with ONNX Runtime behind enqueue. Here run the branches that a Nano takes: bindings by index, FP16
// and INT8 as the builder's choice, calibrators, DLA. It shows what the shim asks for and what till makes of the
// answers; no real library has these tables. Faults are planted as world.h says. Never packaged.
#include <NvInfer.h>
#include <NvOnnxParser.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "ort.h"
#include "world.h"

using namespace nvinfer1;

namespace {

class Memory final : public IHostMemory, Counted {
public:
    explicit Memory(std::string bytes) : Counted("memories"), bytes_(std::move(bytes)) {}
    void *data() const noexcept override { return const_cast<char *>(bytes_.data()); }
    size_t size() const noexcept override { return bytes_.size(); }

private:
    std::string bytes_;
};

class Cache final : public ITimingCache, Counted {
public:
    explicit Cache(bool good) : Counted("caches"), good(good) {}
    IHostMemory *serialize() const noexcept override { return new Memory("timings"); }
    const bool good;
};

class Config final : public IBuilderConfig, Counted {
public:
    Config() : Counted("configs") {}
    void setFlag(BuilderFlag flag) noexcept override { flags |= 1U << static_cast<unsigned>(flag); }
    void setInt8Calibrator(IInt8Calibrator *c) noexcept override { calibrator = c; }
    void setDefaultDeviceType(DeviceType type) noexcept override { on_dla = type == DeviceType::kDLA; }
    void setDLACore(int32_t core) noexcept override { dla = core; }
    ITimingCache *createTimingCache(const void *data, size_t size) const noexcept override {
        return new Cache(size == 0 || std::string(static_cast<const char *>(data), size) == "timings");
    }
    bool setTimingCache(const ITimingCache &cache, bool) noexcept override {
        return static_cast<const Cache &>(cache).good;
    }
#if DECLARED < 1000
    void setMaxWorkspaceSize(size_t size) noexcept override { workspace = size; }
#endif
#if DECLARED >= 804
    void setMemoryPoolLimit(MemoryPoolType, size_t size) noexcept override { workspace = size; }
#endif
#if DECLARED >= 806
    void setProgressMonitor(IProgressMonitor *m) noexcept override { monitor = m; }
    IProgressMonitor *monitor = nullptr;
#endif
    bool has(BuilderFlag flag) const { return (flags >> static_cast<unsigned>(flag) & 1U) != 0; }
    uint32_t flags = 0;
    bool on_dla = false;
    int32_t dla = -1;
    size_t workspace = 0;
    IInt8Calibrator *calibrator = nullptr;
};

class Network final : public INetworkDefinition, Counted {
public:
    Network() : Counted("networks") {}
    std::string onnx;
};

/// A plan: what it is, how it computes, then the model.
struct Plan {
    int fp16 = 0, int8 = 0, dla = -1;
    std::string onnx;
    std::string bytes() const {
        return "STUBPLAN fp16=" + std::to_string(fp16) + " int8=" + std::to_string(int8) + " dla=" + std::to_string(dla) +
               "\n" + onnx;
    }
    bool read(const std::string &text) {
        int at = 0;
        if (sscanf(text.c_str(), "STUBPLAN fp16=%d int8=%d dla=%d\n%n", &fp16, &int8, &dla, &at) != 3 || at == 0)
            return false;
        onnx = text.substr(text.find('\n') + 1);
        return true;
    }
};

class Builder final : public IBuilder, Counted {
public:
    explicit Builder(ILogger *logger) : Counted("builders"), logger_(logger) {
        device(&major_, &minor_, &integrated_);
    }
    bool platformHasFastFp16() const noexcept override { return fault("nofp16") == 0; }
    // As on the boards: Nano (5.3) and TX2 (6.2) aren't fast at INT8, Xavier (7.2) and Orin (8.7) are.
    bool platformHasFastInt8() const noexcept override { return major_ >= 7; }
    int32_t getNbDLACores() const noexcept override { return integrated_ != 0 && major_ >= 7 ? 2 : 0; }
    IBuilderConfig *createBuilderConfig() noexcept override { return fault("config") != 0 ? nullptr : new Config; }
    INetworkDefinition *createNetworkV2(uint32_t flags) noexcept override {
        // Without the flag a network before 10 has an implicit batch, and the ONNX parser refuses it.
        if (DECLARED < 1000 && flags != 1) return nullptr;
        return fault("network") != 0 ? nullptr : new Network;
    }
    IHostMemory *buildSerializedNetwork(INetworkDefinition &network, IBuilderConfig &config) noexcept override {
        return build(static_cast<Network &>(network), static_cast<Config &>(config));
    }

private:
    IHostMemory *build(Network &network, Config &config) {
        misbehave();
#if DECLARED >= 806
        for (int step = 0; config.monitor != nullptr && step < 3; ++step) {
            if (step == 0) config.monitor->phaseStart("Building", nullptr, 3);
            if (!config.monitor->stepComplete("Building", step)) return nullptr;
        }
        if (config.monitor != nullptr) config.monitor->phaseFinish("Building");
#endif
        if (fault("build") != 0)
            return refuse("Error Code 10: Could not find any implementation for node stub");
        if (config.workspace == 0) return refuse("no workspace was given");
        Plan plan;
        plan.fp16 = config.has(BuilderFlag::kFP16);
        plan.int8 = config.has(BuilderFlag::kINT8);
        if (config.on_dla) {
            plan.dla = config.dla;
            if (!config.has(BuilderFlag::kGPU_FALLBACK)) return refuse("DLA lacks a layer and may not fall back");
            if (plan.fp16 + plan.int8 == 0) return refuse("DLA computes in FP16 and INT8 only");
        }
        plan.onnx = network.onnx;
        if (plan.int8 != 0 && config.calibrator != nullptr && !calibrate(*config.calibrator, plan.onnx))
            return refuse("Error Code 1: calibration failed");
        if (plan.int8 != 0 && config.calibrator == nullptr && plan.onnx.find("QuantizeLinear") == std::string::npos)
            return refuse("INT8 without a calibrator and without Q/DQ nodes");
        return new Memory(plan.bytes());
    }
    IHostMemory *refuse(const char *why) {
        say(logger_, ILogger::Severity::kERROR, why);
        return nullptr;
    }
    bool calibrate(IInt8Calibrator &calibrator, const std::string &onnx) {
        size_t length = 0;
        if (calibrator.readCalibrationCache(length) != nullptr) return length > 0;
        const ort::Session session(onnx);
        const size_t elements = session.inputs[0].elements();
        float low = INFINITY, high = -INFINITY;
        int batches = 0;
        void *binding = nullptr;
        const char *name = session.inputs[0].name.c_str();
        for (; calibrator.getBatch(&binding, &name, 1); ++batches)
            for (size_t i = 0; i < elements; ++i) {
                const float v = static_cast<float *>(binding)[i];
                low = std::min(low, v), high = std::max(high, v);
            }
        if (batches == 0) return false;
        std::ostringstream text;
        text << "stub " << (calibrator.getAlgorithm() == 3 ? "min-max" : "entropy") << " batches " << batches << " of "
             << calibrator.getBatchSize() << " from " << low << " to " << high << '\n';
        calibrator.writeCalibrationCache(text.str().data(), text.str().size());
        return true;
    }
    ILogger *logger_;
    int major_ = 0, minor_ = 0, integrated_ = 0;
};

class ParseError final : public nvonnxparser::IParserError {
public:
    std::string text;
    const char *desc() const override { return text.c_str(); }
    int node() const override { return -1; }
};

class Parser final : public nvonnxparser::IParser, Counted {
public:
    explicit Parser(Network *network) : Counted("parsers"), network_(network) {}
    bool parse(const void *model, size_t size, const char *) override {
        const std::string onnx(static_cast<const char *>(model), size);
        try {
            if (fault("parse") != 0) throw std::runtime_error("planted");
            ort::Session session(onnx);
        } catch (const std::exception &e) {
            error_.text = e.what();
            return false;
        }
        network_->onnx = onnx;
        return true;
    }
    int getNbErrors() const override { return error_.text.empty() ? 0 : 1; }
    const nvonnxparser::IParserError *getError(int) const override { return &error_; }

private:
    Network *network_;
    ParseError error_;
};

class Engine final : public ICudaEngine, Counted {
public:
    explicit Engine(Plan p) : Counted("engines"), plan(std::move(p)), session(plan.onnx) {}
    IExecutionContext *createExecutionContext() noexcept override;
    size_t size() const { return session.inputs.size() + session.outputs.size(); }
    const ort::Tensor &tensor(size_t i) const {
        return i < session.inputs.size() ? session.inputs[i] : session.outputs[i - session.inputs.size()];
    }
    int32_t index(const char *name) const {
        for (size_t i = 0; i < size(); ++i)
            if (tensor(i).name == name) return static_cast<int32_t>(i);
        return -1;
    }
    const char *name(int32_t i) const {
        return i >= 0 && static_cast<size_t>(i) < size() ? tensor(static_cast<size_t>(i)).name.c_str() : nullptr;
    }
    Dims dims(int32_t i) const {
        Dims dims{};
        const auto &d = tensor(static_cast<size_t>(i)).dims;
        dims.nbDims = static_cast<int32_t>(d.size());
        for (size_t k = 0; k < d.size(); ++k) dims.d[k] = static_cast<int32_t>(d[k]);
        return dims;
    }
    DataType type(int32_t i) const {
        return tensor(static_cast<size_t>(i)).type == 1 ? DataType::kFLOAT : DataType::kINT32;
    }
    bool input(int32_t i) const { return static_cast<size_t>(i) < session.inputs.size(); }
#if DECLARED < 1000
    int32_t getNbBindings() const noexcept override { return static_cast<int32_t>(size()); }
    int32_t getBindingIndex(const char *n) const noexcept override { return index(n); }
    const char *getBindingName(int32_t i) const noexcept override { return name(i); }
    bool bindingIsInput(int32_t i) const noexcept override { return input(i); }
    Dims getBindingDimensions(int32_t i) const noexcept override { return dims(i); }
    DataType getBindingDataType(int32_t i) const noexcept override { return type(i); }
#endif
#if DECLARED >= 805
    int32_t getNbIOTensors() const noexcept override { return static_cast<int32_t>(size()); }
    const char *getIOTensorName(int32_t i) const noexcept override { return name(i); }
    TensorIOMode getTensorIOMode(const char *n) const noexcept override {
        return input(index(n)) ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
    }
    DataType getTensorDataType(const char *n) const noexcept override { return type(index(n)); }
    Dims getTensorShape(const char *n) const noexcept override { return dims(index(n)); }
#endif
    const Plan plan;
    ort::Session session;
};

class Context final : public IExecutionContext, Counted {
public:
    explicit Context(Engine *engine) : Counted("contexts"), engine_(engine), addresses_(engine->size()) {}
#if DECLARED < 1000
    bool enqueueV2(void *const *bindings, cudaStream_t, cudaEvent_t *) noexcept override {
        if (fault("bind") != 0) return false;
        return enqueue(std::vector<void *>(bindings, bindings + engine_->size()));
    }
    bool setBindingDimensions(int32_t, Dims) noexcept override { return true; }
#endif
#if DECLARED >= 805
    bool enqueueV3(cudaStream_t) noexcept override { return enqueue(addresses_); }
    bool setTensorAddress(const char *name, void *data) noexcept override {
        const int32_t index = engine_->index(name);
        if (index < 0 || fault("bind") != 0) return false;
        addresses_[static_cast<size_t>(index)] = data;
        return true;
    }
    bool setInputShape(const char *, const Dims &) noexcept override { return true; }
#endif

private:
    bool enqueue(const std::vector<void *> &at) {
        if (sticky != 0 || fault("enqueue") != 0) return false;
        const ort::Session &session = engine_->session;
        const auto split = at.begin() + static_cast<ptrdiff_t>(session.inputs.size());
        const std::vector<void *> in(at.begin(), split), out(split, at.end());
        session.run(in, out);
        // What the narrower numbers lose, roughly: 11 bits of FP16, and of INT8 what is left of 8 with a range a channel.
        const float steps = fault("coarse") != 0 ? 500 : 1e6F;
        for (size_t t = 0; t < out.size(); ++t) {
            auto *values = static_cast<float *>(out[t]);
            const size_t n = session.outputs[t].elements();
            if (engine_->plan.int8 != 0) {
                float most = 0;
                for (size_t i = 0; i < n; ++i) most = std::max(most, std::fabs(values[i]));
                for (size_t i = 0; most > 0 && i < n; ++i) values[i] = std::round(values[i] / most * steps) / steps * most;
            } else if (engine_->plan.fp16 != 0) {
                for (size_t i = 0; i < n; ++i) {
                    int exponent = 0;
                    const float part = std::frexp(values[i], &exponent);
                    values[i] = std::ldexp(std::round(part * 2048) / 2048, exponent);
                }
            }
        }
        wrong(static_cast<float *>(out[0]), session.outputs[0].elements());
        return true;
    }
    Engine *engine_;
    std::vector<void *> addresses_;
};

IExecutionContext *Engine::createExecutionContext() noexcept {
    return fault("context") != 0 ? nullptr : new Context(this);
}

class Runtime final : public IRuntime, Counted {
public:
    explicit Runtime(ILogger *logger) : Counted("runtimes"), logger_(logger) {}
    void setDLACore(int32_t core) noexcept override { core_ = core; }
    ICudaEngine *deserializeCudaEngine(const void *blob, size_t size) noexcept override {
        Plan plan;
        if (sticky != 0 || fault("load") != 0 || !plan.read(std::string(static_cast<const char *>(blob), size))) {
            say(logger_, ILogger::Severity::kERROR, "Error Code 1: Serialization (Serialization assertion magicTag failed)");
            return nullptr;
        }
        if (plan.dla != core_) {
            say(logger_, ILogger::Severity::kERROR, "the plan is for another DLA core");
            return nullptr;
        }
        return new Engine(std::move(plan));
    }

private:
    ILogger *logger_;
    int32_t core_ = -1;
};

} // namespace

#include "entry.h"
