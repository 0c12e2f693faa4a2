"""Static files of a release."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class ReleaseStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Modules import each other by hashed names too, so that a page never mixes two releases."""

    support_js_module_import_aggregation = True
