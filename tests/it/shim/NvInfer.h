// Not NVIDIA's header: our own declarations of what the shim calls, by version, for the versions whose headers are in
// no registry. The shim compiling against it shows that its branches are C++ and call what those versions are known to
// have. Every function is virtual, so that tests/it/tensorrt/stub/declared.cpp can play the library and those branches
// can run: with a till that was built against these headers, which no real library fits. Version by
// -DNV_TENSORRT_MAJOR and -DNV_TENSORRT_MINOR, or by the headers in the folders beside.
#pragma once
#include <cstddef>
#include <cstdint>

#include <cuda_runtime_api.h>

#define DECLARED (NV_TENSORRT_MAJOR * 100 + NV_TENSORRT_MINOR)
#if DECLARED < 1000
#define NV_TENSORRT_VERSION (NV_TENSORRT_MAJOR * 1000 + NV_TENSORRT_MINOR * 100)
#else
#define NV_TENSORRT_VERSION (NV_TENSORRT_MAJOR * 10000 + NV_TENSORRT_MINOR * 100)
#endif

namespace nvinfer1 {

class Dims32 {
public:
    int32_t nbDims;
#if DECLARED < 1000
    int32_t d[8];
#else
    int64_t d[8];
#endif
};
using Dims = Dims32;
enum class DataType : int32_t { kFLOAT, kHALF, kINT8, kINT32, kBOOL };
enum class TensorIOMode : int32_t { kNONE, kINPUT, kOUTPUT };
enum class DeviceType : int32_t { kGPU, kDLA };
enum class BuilderFlag : int32_t { kFP16, kINT8, kDEBUG, kGPU_FALLBACK };
enum class MemoryPoolType : int32_t { kWORKSPACE };
enum class NetworkDefinitionCreationFlag : int32_t { kEXPLICIT_BATCH };

class ILogger {
public:
    enum class Severity : int32_t { kINTERNAL_ERROR, kERROR, kWARNING, kINFO, kVERBOSE };
    virtual void log(Severity severity, const char *text) noexcept = 0;
    virtual ~ILogger() = default;
};

class IHostMemory {
public:
    virtual ~IHostMemory() noexcept = default;
    virtual void *data() const noexcept = 0;
    virtual std::size_t size() const noexcept = 0;
};

class ITimingCache {
public:
    virtual ~ITimingCache() noexcept = default;
    virtual IHostMemory *serialize() const noexcept = 0;
};

class IInt8Calibrator {
public:
    virtual int32_t getBatchSize() const noexcept = 0;
    virtual bool getBatch(void *bindings[], const char *names[], int32_t count) noexcept = 0;
    virtual const void *readCalibrationCache(std::size_t &length) noexcept = 0;
    virtual void writeCalibrationCache(const void *data, std::size_t length) noexcept = 0;
    virtual int32_t getAlgorithm() noexcept = 0;
    virtual ~IInt8Calibrator() noexcept = default;
};
class IInt8EntropyCalibrator2 : public IInt8Calibrator {
public:
    int32_t getAlgorithm() noexcept override { return 2; }
};
class IInt8MinMaxCalibrator : public IInt8Calibrator {
public:
    int32_t getAlgorithm() noexcept override { return 3; }
};

#if DECLARED >= 806
class IProgressMonitor {
public:
    virtual void phaseStart(const char *phase, const char *parent, int32_t steps) noexcept = 0;
    virtual bool stepComplete(const char *phase, int32_t step) noexcept = 0;
    virtual void phaseFinish(const char *phase) noexcept = 0;
    virtual ~IProgressMonitor() noexcept = default;
};
#endif

class IBuilderConfig {
public:
    virtual ~IBuilderConfig() noexcept = default;
    virtual void setFlag(BuilderFlag flag) noexcept = 0;
    virtual void setInt8Calibrator(IInt8Calibrator *calibrator) noexcept = 0;
    virtual void setDefaultDeviceType(DeviceType type) noexcept = 0;
    virtual void setDLACore(int32_t core) noexcept = 0;
    virtual ITimingCache *createTimingCache(const void *blob, std::size_t size) const noexcept = 0;
    virtual bool setTimingCache(const ITimingCache &cache, bool ignoreMismatch) noexcept = 0;
#if DECLARED < 1000
    virtual void setMaxWorkspaceSize(std::size_t size) noexcept = 0;
#endif
#if DECLARED >= 804
    virtual void setMemoryPoolLimit(MemoryPoolType pool, std::size_t size) noexcept = 0;
#endif
#if DECLARED >= 806
    virtual void setProgressMonitor(IProgressMonitor *monitor) noexcept = 0;
#endif
};

class INetworkDefinition {
public:
    virtual ~INetworkDefinition() noexcept = default;
};

class IBuilder {
public:
    virtual ~IBuilder() noexcept = default;
    virtual bool platformHasFastFp16() const noexcept = 0;
    virtual bool platformHasFastInt8() const noexcept = 0;
    virtual int32_t getNbDLACores() const noexcept = 0;
    virtual IBuilderConfig *createBuilderConfig() noexcept = 0;
    virtual INetworkDefinition *createNetworkV2(uint32_t flags) noexcept = 0;
    virtual IHostMemory *buildSerializedNetwork(INetworkDefinition &network, IBuilderConfig &config) noexcept = 0;
};

class IExecutionContext {
public:
    virtual ~IExecutionContext() noexcept = default;
#if DECLARED < 1000
    virtual bool enqueueV2(void *const *bindings, cudaStream_t stream, cudaEvent_t *consumed) noexcept = 0;
    virtual bool setBindingDimensions(int32_t index, Dims dims) noexcept = 0;
#endif
#if DECLARED >= 805
    virtual bool enqueueV3(cudaStream_t stream) noexcept = 0;
    virtual bool setTensorAddress(const char *name, void *data) noexcept = 0;
    virtual bool setInputShape(const char *name, const Dims &dims) noexcept = 0;
#endif
};

class ICudaEngine {
public:
    virtual ~ICudaEngine() noexcept = default;
    virtual IExecutionContext *createExecutionContext() noexcept = 0;
#if DECLARED < 1000
    virtual int32_t getNbBindings() const noexcept = 0;
    virtual int32_t getBindingIndex(const char *name) const noexcept = 0;
    virtual const char *getBindingName(int32_t index) const noexcept = 0;
    virtual bool bindingIsInput(int32_t index) const noexcept = 0;
    virtual Dims getBindingDimensions(int32_t index) const noexcept = 0;
    virtual DataType getBindingDataType(int32_t index) const noexcept = 0;
#endif
#if DECLARED >= 805
    virtual int32_t getNbIOTensors() const noexcept = 0;
    virtual const char *getIOTensorName(int32_t index) const noexcept = 0;
    virtual TensorIOMode getTensorIOMode(const char *name) const noexcept = 0;
    virtual DataType getTensorDataType(const char *name) const noexcept = 0;
    virtual Dims getTensorShape(const char *name) const noexcept = 0;
#endif
};

class IRuntime {
public:
    virtual ~IRuntime() noexcept = default;
    virtual void setDLACore(int32_t core) noexcept = 0;
    virtual ICudaEngine *deserializeCudaEngine(const void *blob, std::size_t size) noexcept = 0;
};

} // namespace nvinfer1
