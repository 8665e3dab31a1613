"""Deformable DETR as a graph."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.ops import MultiScaleDeformableAttention
from torch import Tensor, nn

from .boxes import Size, gather_rows
from .graphs import Graph


class DeformableDETRGraph(Graph):
    """Boxes (N, M, 4) in pixels, scores (N, M) and labels (N, M) of Deformable DETR.

    M is ``max_per_img`` of the test config, by default the number of queries.
    """

    task = 'detector'
    outputs = ('boxes', 'scores', 'labels')

    @staticmethod
    def check(model: Any) -> None:
        if type(model).__name__ != 'DeformableDETR' or not model.bbox_head.loss_cls.use_sigmoid:
            raise ValueError(
                f'{type(model).__name__} with {type(model.bbox_head).__name__} cannot be exported; it '
                'must be a DeformableDETR with a loss_cls of use_sigmoid=True'
            )

    def __init__(self, model: Any, color: str) -> None:
        super().__init__(model, color)
        for layer in model.encoder.layers:
            layer.self_attn = DeformableAttention(layer.self_attn)
        for layer in model.decoder.layers:
            layer.cross_attn = DeformableAttention(layer.cross_attn)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        size = images.shape[1], images.shape[2]
        x = self.input(images)
        states, references = self.transform(self.model.extract_feat(x), size, x.shape[-2:])
        head = self.model.bbox_head
        logits = head.cls_branches[self.model.decoder.num_layers - 1](states[-1])
        if self.model.with_box_refine:
            boxes = references[-1]
        else:  # all layers have the same branches
            boxes = head(states[-1:], references[-1:])[1][0]
        number = head.test_cfg.get('max_per_img', logits.shape[1])
        scores, index = logits.sigmoid().flatten(1).topk(number)
        classes = logits.shape[-1]
        return to_pixels(gather_rows(boxes, index // classes), size), scores, index % classes

    def transform(
        self, features: Sequence[Tensor], size: Size, padded_size: Size
    ) -> tuple[Tensor, list[Tensor]]:
        """Run encoder and decoder.

        Args:
            features: (N, C, H, W) of each level.
            size: Height and width of the images.
            padded_size: The same, with the padding.

        Returns:
            States of the queries (layers, N, Q, C) and their reference points, (N, Q, 2 or 4) for each
            layer and for the input of the first.
        """
        model = self.model
        masks = [make_padding_mask(x, size, padded_size) for x in features]
        mask = torch.cat([mask.flatten(1) for mask in masks], dim=1)
        ratios = torch.stack([model.get_valid_ratio(mask) for mask in masks], dim=1)  # (N, levels, 2)
        places = [compute_centres(x) / ratios[:, level, None] for level, x in enumerate(features)]
        positions = [
            flatten(model.positional_encoding(mask)) + embedding
            for mask, embedding in zip(masks, model.level_embed)
        ]
        levels: dict[str, Any] = dict(
            spatial_shapes=[x.shape[-2:] for x in features],
            level_start_index=None,
            valid_ratios=ratios,
        )
        memory = torch.cat([flatten(x) for x in features], dim=1)
        for layer in model.encoder.layers:
            memory = layer(
                memory,
                query_pos=torch.cat(positions, dim=1),
                key_padding_mask=mask,
                reference_points=torch.cat(places, dim=1)[:, :, None] * ratios[:, None],
                **levels,
            )
        if model.as_two_stage:
            queries = self.propose(memory, mask, places)
        else:
            queries, _ = model.pre_decoder(memory, mask, None)
        outputs = model.forward_decoder(**queries, memory_mask=mask, **levels)
        return outputs['hidden_states'], outputs['references']

    def propose(self, memory: Tensor, mask: Tensor, places: Sequence[Tensor]) -> dict[str, Tensor]:
        """Input of the decoder of a two-stage model: the queries are the best tokens.

        mmdet's ``pre_decoder`` reads the sizes of the levels from a tensor, see
        :class:`DeformableAttention`.

        Args:
            memory: (N, tokens, C).
            mask: (N, tokens), True for padding.
            places: Centres of the tokens of each level, (N, H * W, 2), in shares of the image.
        """
        model, number = self.model, self.model.num_queries
        head, last = model.bbox_head, model.decoder.num_layers
        anchors = torch.cat(
            [F.pad(place, (0, 2), value=0.05 * 2**level) for level, place in enumerate(places)], dim=1
        )
        valid = ((anchors > 0.01) & (anchors < 0.99)).all(-1) & ~mask
        tokens = model.memory_trans_fc(memory.masked_fill(~valid[..., None], 0.0))
        tokens = model.memory_trans_norm(tokens)
        boxes = head.reg_branches[last](tokens) + (anchors / (1 - anchors)).log()
        boxes = boxes.masked_fill(~valid[..., None], float('inf'))
        best = head.cls_branches[last](tokens)[..., 0].topk(number, dim=1).indices
        boxes = gather_rows(boxes, best)
        embedding = model.pos_trans_norm(model.pos_trans_fc(model.get_proposal_pos_embed(boxes)))
        query_pos, query = embedding.chunk(2, dim=-1)
        return dict(query=query, query_pos=query_pos, memory=memory, reference_points=boxes.sigmoid())


class DeformableAttention(nn.Module):
    """mmcv's multi-scale deformable attention, for sizes of the levels that are numbers.

    mmcv's module reads them from a tensor; shapes of an exported graph cannot depend on its values.

    Args:
        attention: mmcv's module, whose weights are used.
    """

    def __init__(self, attention: MultiScaleDeformableAttention) -> None:
        super().__init__()
        self.attention = attention

    def forward(
        self,
        query: Tensor,
        value: Tensor,
        query_pos: Tensor,
        key_padding_mask: Tensor,
        reference_points: Tensor,
        spatial_shapes: Sequence[Size],
        **unused: Any,
    ) -> Tensor:
        """Attend.

        Args:
            query: (N, Q, C).
            value: (N, tokens of all levels, C).
            query_pos: (N, Q, C).
            key_padding_mask: (N, tokens), True for those to ignore.
            reference_points: (N, Q, levels, 2 or 4): centre and size, in shares of the image.
            spatial_shapes: Height and width of each level.

        Returns:
            (N, Q, C), with ``query`` added.
        """
        layer = self.attention
        n, number = query.shape[:2]
        heads, points = layer.num_heads, layer.num_points
        x = query + query_pos
        values = layer.value_proj(value).masked_fill(key_padding_mask[..., None], 0.0)
        offsets = layer.sampling_offsets(x).view(n, number, heads, -1, points, 2)
        weights = layer.attention_weights(x).view(n, number, heads, -1).softmax(-1)
        parts = values.split([height * width for height, width in spatial_shapes], dim=1)
        sampled = []
        for level, (height, width) in enumerate(spatial_shapes):
            reference = reference_points[:, :, None, None, level]  # (N, Q, 1, 1, 2 or 4)
            if reference.shape[-1] == 4:
                offset = offsets[:, :, :, level] / points * reference[..., 2:] / 2
            else:
                right, down = offsets[:, :, :, level].unbind(-1)
                offset = torch.stack([right / width, down / height], dim=-1)
            place = (2 * (reference[..., :2] + offset) - 1).transpose(1, 2).flatten(0, 1)
            feature = parts[level].transpose(1, 2).reshape(n * heads, -1, height, width)
            sampled.append(F.grid_sample(feature, place, align_corners=False))
        weights = weights.transpose(1, 2).flatten(0, 1)[:, None]  # (N * heads, 1, Q, levels * points)
        out = (torch.cat(sampled, dim=-1) * weights).sum(-1)  # (N * heads, C / heads, Q)
        return query + layer.output_proj(out.view(n, -1, number).transpose(1, 2))


def flatten(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H * W, C)."""
    return x.flatten(2).transpose(1, 2)


def compute_centres(feature: Tensor) -> Tensor:
    """Centres x, y of the cells of a feature map (N, C, H, W) in shares of its size, (H * W, 2)."""
    height, width = feature.shape[-2:]
    y = (torch.arange(height, device=feature.device) + 0.5) / height
    x = (torch.arange(width, device=feature.device) + 0.5) / width
    return torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)], dim=-1).flatten(0, 1)


def make_padding_mask(feature: Tensor, size: Size, padded_size: Size) -> Tensor:
    """Where a feature map (N, C, H, W) shows the padding, (N, H, W), as mmdet interpolates it."""
    rows, columns = (
        torch.arange(cells, device=feature.device) * padded // cells >= length
        for cells, length, padded in zip(feature.shape[-2:], size, padded_size)
    )
    return (rows[:, None] | columns).expand(feature.shape[0], -1, -1)


def to_pixels(boxes: Tensor, size: Size) -> Tensor:
    """Centres and sizes (N, M, 4) in shares of the image -> x1, y1, x2, y2 in pixels, within it."""
    centre, extent = boxes.split(2, dim=-1)
    x, y = torch.stack([centre - extent / 2, centre + extent / 2], dim=-2).unbind(-1)  # (N, M, 2)
    height, width = size
    x, y = (x * width).clamp(min=0, max=width), (y * height).clamp(min=0, max=height)
    return torch.stack([x, y], dim=-1).flatten(2)
