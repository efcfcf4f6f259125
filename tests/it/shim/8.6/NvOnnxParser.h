// Our own declarations: see the folder above.
#pragma once
#include "NvInfer.h"

#include "../NvOnnxParser.h"
