from mammo_core.steps import say_gpus


def test_no_gpu_asked_for_says_nothing(capsys):
    assert say_gpus("gate", "0", "nvidia.com/gpu") == 0
    assert capsys.readouterr().out == ""


def test_missing_gpus_are_told(capsys):
    seen = say_gpus("train-image", "16", "nvidia.com/gpu")
    told = capsys.readouterr().out
    assert f"[train-image] {seen} of 16 GPUs (nvidia.com/gpu)" in told
    assert "warning: 16 GPUs were asked for" in told
