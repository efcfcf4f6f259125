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


# Engines of two levels name their heads by number.
OLD = {"box.16.": "box.0.", "box.32.": "box.1.", "cls.16.": "cls.0.", "cls.32.": "cls.1."}


def load(net, path, images):
    """Fills `net` from the ONNX file; `images` [B, 3, H, W] are what the statistics are measured on.

    What the file does not have, or has in another shape, keeps its first values. -> the names of those parameters
    """
    stored = {i.name: torch.from_numpy(onnx.numpy_helper.to_array(i).copy()).float() for i in onnx.load(str(path)).graph.initializer}
    two_levels = not any(".box.8." in name for name in stored)
    fused, fresh = {}, []

    def tensor(name, like):
        if two_levels:
            name = next((old + name[len(new):] for new, old in OLD.items() if name.startswith(new)), name)
        value = stored.get("net." + name)
        return value if value is not None and value.shape == like.shape else None

    with torch.no_grad():
        for name, module in net.named_modules():
            if not isinstance(module, (Conv, nn.Conv2d)) or name.endswith(".conv"):
                continue
            conv = module.conv if isinstance(module, Conv) else module
            prefix = name + ".conv" if isinstance(module, Conv) else name
            weight, bias = tensor(prefix + ".weight", conv.weight), tensor(prefix + ".bias", conv.weight[:, 0, 0, 0])
            if weight is None or bias is None:
                fresh += [f"{name}.{n}" for n, _ in module.named_parameters()]
                continue
            conv.weight.copy_(weight)
            if isinstance(module, Conv):
                fused[module] = bias
            else:
                conv.bias.copy_(bias)

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
    return fresh
