/* TensorRT's headers name two of CUDA's handles and need nothing else of its runtime, whose functions are looked up
 * when the program runs. So a build needs no CUDA. */
#pragma once
typedef struct CUstream_st *cudaStream_t;
typedef struct CUevent_st *cudaEvent_t;
