// Our own declarations, as of version 8.2: see the folder above.
#pragma once
#define NV_TENSORRT_MAJOR 8
#define NV_TENSORRT_MINOR 2
#include "../NvInfer.h"
