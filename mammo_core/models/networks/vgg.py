"""VGG16 and VGG19 of `keras.applications`."""

from mammo_core.models.registry import (
    HALVE,
    Application,
    Network,
    named_blocks,
    numbered,
    register_network,
)

for _name in ("vgg16", "vgg19"):
    _application = Application(_name.upper())
    register_network(
        Network(
            name=_name,
            channels=3,
            path=(HALVE,) * 5,
            feature="block5_pool",
            members=named_blocks(*numbered("block", 1, 5)),
            top=("block5",),
            application=_application,
            imagenet=_application,
            keras2=_name,
        )
    )
