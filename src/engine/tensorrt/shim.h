/* TensorRT behind a C ABI: 24 functions over its C++ classes, for TensorRT 8.0 to 11 and TensorRT-RTX, whichever the
 * headers are from that shim.cpp is compiled against. Nothing is linked: till_trt_open loads the libraries when the
 * program runs, so that the same program starts without them.
 *
 * Rules. Every function returns a till_trt_code and, unless that is 0, fills *error. No exception leaves a function.
 * Structs that may grow start with their size; a caller of another size is refused. Dimensions travel as int64_t.
 * A handle is used by one thread at a time. Free in the order context, engine, library. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TILL_TRT_DIMS_MAX 8
#define TILL_TRT_TEXT_MAX 1024

typedef enum {
    TILL_TRT_OK = 0,
    TILL_TRT_ARGUMENT = 1,  /* a caller's mistake */
    TILL_TRT_LIBRARY = 2,   /* a library or one of its symbols is not there */
    TILL_TRT_VERSION = 3,   /* the library is of another version than the headers */
    TILL_TRT_CUDA = 4,      /* a call of CUDA failed; till_trt_error.cuda has its number */
    TILL_TRT_CREATE = 5,    /* TensorRT gave no object */
    TILL_TRT_PARSE = 6,     /* the ONNX parser refused the model */
    TILL_TRT_BUILD = 7,     /* the builder gave no plan */
    TILL_TRT_LOAD = 8,      /* a plan could not be loaded */
    TILL_TRT_BIND = 9,      /* an address or a shape was refused */
    TILL_TRT_ENQUEUE = 10,  /* an inference could not be queued */
    TILL_TRT_UNSUPPORTED = 11, /* this version or this board has no such thing */
    TILL_TRT_EXCEPTION = 12 /* an exception was caught at the border */
} till_trt_code;

typedef struct {
    uint32_t size;
    int32_t code;
    int32_t cuda;
    char text[TILL_TRT_TEXT_MAX];
} till_trt_error;

typedef struct till_trt till_trt;
typedef struct till_trt_blob till_trt_blob;
typedef struct till_trt_engine till_trt_engine;
typedef struct till_trt_context till_trt_context;

/* severity: 0 internal error, 1 error, 2 warning, 3 info, 4 verbose. May come from any thread of TensorRT's. */
typedef void (*till_trt_log)(void *user, int32_t severity, const char *text);

/* Names for dlopen; NULL means the soname that belongs to the headers. Without a parser nothing can be built. */
typedef struct {
    uint32_t size;
    const char *infer;
    const char *parser;
    const char *cudart;
    till_trt_log log;
    void *user;
} till_trt_open_options;

typedef struct {
    uint32_t size;
    int32_t header_major, header_minor;
    int32_t library_major, library_minor, library_patch;
    int32_t rtx;         /* 1: TensorRT-RTX */
    int32_t weak_typing; /* 1: fp16 and int8 are the builder's choice; 0: the model's types are the plan's */
    int32_t has_parser, has_cudart;
} till_trt_info;

typedef struct {
    uint32_t size;
    int32_t cc_major, cc_minor;
    int32_t multiprocessors;
    int32_t integrated; /* CPU and GPU share the memory */
    int32_t can_map;    /* host memory can be mapped */
    int32_t driver, runtime;
    uint64_t memory_bytes;
} till_trt_device;

typedef struct {
    uint32_t size;
    int32_t fp16, int8;  /* platformHasFast*: weak typing only, else 0 */
    int32_t dla_cores;
} till_trt_platform_info;

/* Calibration for INT8 (weak typing only). next fills one batch of `elements` floats and returns 1, or 0 at the end.
 * cache_read returns a buffer that lives until the next call, or NULL. */
typedef struct {
    uint32_t size;
    int32_t kind; /* 0 entropy, 1 min-max */
    int32_t batch;
    size_t elements;
    int32_t (*next)(void *user, float *values, size_t elements);
    const void *(*cache_read)(void *user, size_t *length);
    void (*cache_write)(void *user, const void *data, size_t length);
    void *user;
} till_trt_calibrator;

/* Progress of a build where the version reports it: returns 0 to end the build. */
typedef int32_t (*till_trt_progress)(void *user, const char *phase, int32_t step, int32_t steps);

typedef struct {
    uint32_t size;
    int32_t fp16, int8;
    int32_t dla_core; /* -1: none */
    uint64_t workspace_bytes;
    const void *timing_cache;
    size_t timing_cache_length;
    const till_trt_calibrator *calibrator;
    till_trt_progress progress;
    void *user;
} till_trt_build_options;

typedef struct {
    uint32_t size;
    int32_t is_input;
    int32_t data_type; /* nvinfer1::DataType: 0 float, 1 half, 2 int8, 3 int32, 4 bool, ... */
    int32_t rank;
    int64_t dims[TILL_TRT_DIMS_MAX];
    char name[256];
} till_trt_tensor;

typedef enum {
    TILL_TRT_DEVICE = 0, /* device memory, no host address */
    TILL_TRT_PINNED = 1, /* pinned host memory, no device address */
    TILL_TRT_MAPPED = 2  /* one memory with both addresses */
} till_trt_memory;

/* Libraries. */
int32_t till_trt_header(till_trt_info *info, till_trt_error *error);
int32_t till_trt_open(const till_trt_open_options *options, till_trt **lib, till_trt_error *error);
void till_trt_close(till_trt *lib);
int32_t till_trt_library(till_trt *lib, till_trt_info *info, till_trt_error *error);
int32_t till_trt_probe(till_trt *lib, till_trt_device *device, till_trt_error *error);
int32_t till_trt_platform(till_trt *lib, till_trt_platform_info *info, till_trt_error *error);

/* Building. */
int32_t till_trt_build(till_trt *lib, const void *onnx, size_t length, const till_trt_build_options *options,
                       till_trt_blob **plan, till_trt_blob **timing_cache, till_trt_error *error);
const void *till_trt_blob_data(const till_trt_blob *blob);
size_t till_trt_blob_length(const till_trt_blob *blob);
void till_trt_blob_free(till_trt_blob *blob);

/* Loading; dla_core as in the build, -1 for none. */
int32_t till_trt_engine_load(till_trt *lib, const void *plan, size_t length, int32_t dla_core,
                             till_trt_engine **engine, till_trt_error *error);
void till_trt_engine_free(till_trt_engine *engine);
int32_t till_trt_engine_count(till_trt_engine *engine, int32_t *count, till_trt_error *error);
int32_t till_trt_engine_tensor(till_trt_engine *engine, int32_t index, till_trt_tensor *tensor, till_trt_error *error);

/* Running. */
int32_t till_trt_context_new(till_trt_engine *engine, till_trt_context **context, till_trt_error *error);
void till_trt_context_free(till_trt_context *context);
int32_t till_trt_context_shape(till_trt_context *context, const char *name, const int64_t *dims, int32_t rank,
                               till_trt_error *error);
int32_t till_trt_context_bind(till_trt_context *context, const char *name, void *device, till_trt_error *error);
int32_t till_trt_context_enqueue(till_trt_context *context, void *stream, till_trt_error *error);

/* CUDA. */
int32_t till_trt_stream_new(till_trt *lib, void **stream, till_trt_error *error);
void till_trt_stream_free(till_trt *lib, void *stream);
int32_t till_trt_stream_wait(till_trt *lib, void *stream, till_trt_error *error);
int32_t till_trt_alloc(till_trt *lib, int32_t kind, size_t bytes, void **host, void **device, till_trt_error *error);
void till_trt_free(till_trt *lib, int32_t kind, void *host, void *device);
int32_t till_trt_copy(till_trt *lib, void *stream, void *to, const void *from, size_t bytes, int32_t to_device,
                      till_trt_error *error);
int32_t till_trt_reset(till_trt *lib, till_trt_error *error);

#ifdef __cplusplus
}
#endif
