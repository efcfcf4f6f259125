// Our own declarations, as of version 8.6: see the folder above.
#pragma once
#define NV_TENSORRT_MAJOR 8
#define NV_TENSORRT_MINOR 6
#include "../NvInfer.h"
