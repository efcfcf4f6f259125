// Our own declarations, as of version 10.3: see the folder above.
#pragma once
#define NV_TENSORRT_MAJOR 10
#define NV_TENSORRT_MINOR 3
#include "../NvInfer.h"
