"""Fewer neurons in the feed-forward blocks of the encoder, so that it is read faster; train.py then lets it learn again what the whole one says.

Half of the time of a layer is spent on its block. From each block those neurons are taken whose loss the others can best make up for, some at
a time: what is lost by taking one is its part of the output over the diagonal of the inverse Gram matrix of the activations (optimal brain
surgeon, Hassibi and Stork, 1992, by whole neurons). The matrix behind the kept ones is then fitted anew by least squares, to what the block said
before. The blocks are done from the bottom up, each on what those below it now say.
"""

import torch
from torch import nn

ROUNDS = 8  # between two of them the fit is made anew
DAMPING = 1e-4  # of the mean of the Gram matrix's diagonal
TEXTS_AT_ONCE = 50


def chosen(products, matrix, keep):
    """Which `keep` neurons stay, in order (int64, [keep]), and the matrix behind them (float64, [outputs, keep]) that comes closest to what `matrix`
    ([outputs, neurons]) makes of all of them. `products`: of their activations with each other, summed over pieces (float64, [neurons, neurons])."""
    products = products + DAMPING * products.diagonal().mean() * torch.eye(len(products), dtype=products.dtype)
    wanted, left = matrix.double() @ products, torch.arange(len(products))
    for step in range(1, ROUNDS + 1):
        inverse = torch.linalg.inv(products[left][:, left])
        loss = (wanted[:, left] @ inverse).pow(2).sum(0) / inverse.diagonal()
        count = len(products) - (len(products) - keep) * step // ROUNDS
        left = left[loss.topk(count).indices.sort().values]
    return left, torch.linalg.solve(products[left][:, left], wanted[:, left].T).T


def fewer_neurons(model, keep, reader, sequences):
    """Leaves `keep` neurons in each feed-forward block of `model` (encoder.Classifier). `sequences`: token ids of some thousand texts."""
    model.eval()
    groups = [[torch.from_numpy(array) for array in reader.pad(sequences[start : start + TEXTS_AT_ONCE])] for start in range(0, len(sequences), TEXTS_AT_ONCE)]
    with torch.no_grad():
        seen = [(model.embed(ids), model.bias(mask), mask.bool()) for ids, mask in groups]
        for layer in model.layers:
            products = torch.zeros(layer.rise.out_features, layer.rise.out_features, dtype=torch.float64)

            def look(_, inputs, products=products):
                active = inputs[0][present]
                products.add_((active.T @ active).double())

            hook = layer.fall.register_forward_pre_hook(look)
            for states, bias, present in seen:  # `look` reads `present`
                layer(states, bias)
            hook.remove()
            left, matrix = chosen(products, layer.fall.weight, keep)
            rise, fall = nn.Linear(layer.rise.in_features, keep), nn.Linear(keep, layer.fall.out_features)
            for new, weight, bias in ((rise, layer.rise.weight[left], layer.rise.bias[left]), (fall, matrix, layer.fall.bias)):
                new.weight.copy_(weight)
                new.bias.copy_(bias)
            layer.rise, layer.fall = rise, fall
            seen = [(layer(states, bias), bias, present) for states, bias, present in seen]
