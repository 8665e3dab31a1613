# cednet_t.py, trained with FSDP: for models that are too large for a GPU; see docs/clusters.md
_base_ = ['cednet_t.py', '../_base_/fsdp.py']
