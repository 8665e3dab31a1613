# FSDP, with the CED blocks as units, instead of a whole copy of the model in each process; checkpoints
# have the whole weights
runner_type = 'FlexibleRunner'
strategy = dict(
    type='CEDNetFSDPStrategy',
    model_wrapper=dict(
        type='MMFullyShardedDataParallel',
        auto_wrap_policy='wrap_ced_blocks',
        use_orig_params=True,
        sync_module_states=True,
    ),
    state_dict_cfg='full',
)
