"""Takes a network up again from the ONNX file of an engine, so that training goes on where no checkpoint is left.

Export fuses each batch normalisation into its convolution. Here it is split off again: over some batches the
convolution's own mean m and variance v are measured, and the normalisation gets them together with the gain
sqrt(v + eps) and the offset b + m, with which it does nothing but add the fused bias b. In training, where a
batch's own statistics take the place of m and v, the network therefore begins where the engine stands.
"""
import torch
import torch.nn as nn
import onnx
import onnx.numpy_helper

from model import Conv


def load(net, path, images):
    """Fills `net` from the ONNX file; `images` [B, 3, H, W] are what the statistics are measured on."""
    stored = {i.name: torch.from_numpy(onnx.numpy_helper.to_array(i).copy()) for i in onnx.load(str(path)).graph.initializer}

    def tensor(name, like):
        value = stored.get("net." + name)
        if value is None or value.shape != like.shape:
            raise SystemExit(f"{path}: {name} is not what this network has: {None if value is None else tuple(value.shape)} for {tuple(like.shape)}")
        return value

    fused = {}
    with torch.no_grad():
        for name, module in net.named_modules():
            if isinstance(module, Conv):
                module.conv.weight.copy_(tensor(f"{name}.conv.weight", module.conv.weight))
                fused[module] = tensor(f"{name}.conv.bias", module.bn.bias)
            elif isinstance(module, nn.Conv2d) and module.bias is not None:
                module.weight.copy_(tensor(f"{name}.weight", module.weight))
                module.bias.copy_(tensor(f"{name}.bias", module.bias))

    def measured(module, inputs, _):
        y = module.conv(inputs[0])
        bn, bias = module.bn, fused[module]
        mean, var = y.mean((0, 2, 3)), y.var((0, 2, 3), unbiased=False)
        bn.running_mean.copy_(mean)
        bn.running_var.copy_(var)
        bn.weight.copy_((var + bn.eps).sqrt())
        bn.bias.copy_(bias + mean)
        return module.act(y + bias[None, :, None, None])

    hooks = [module.register_forward_hook(measured) for module in fused]
    with torch.no_grad():
        net.eval()(images)
    for hook in hooks:
        hook.remove()
