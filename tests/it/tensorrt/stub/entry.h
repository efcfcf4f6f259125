// What a loader looks for: the library's version and the three ways in. Included last, behind the stub's own classes.
#pragma once

extern "C" {

int32_t getInferLibVersion() noexcept {
    if (fault("version") != 0) return 5105;
    // Another patch of the same minor version, as a JetPack may bring it.
    return NV_TENSORRT_VERSION + (fault("patch") != 0 ? 2 : 1);
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
}
