"""File suffixes of media types, and media types of suffixes; the same on every system."""

import mimetypes

_TYPES = {
    ".jpg": "image/jpeg image/jpg image/pjpeg",
    ".png": "image/png image/x-png",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".apng": "image/apng image/vnd.mozilla.apng",
    ".bmp": "image/bmp image/x-bmp image/x-ms-bmp",
    ".tiff": "image/tiff image/x-tiff",
    ".svg": "image/svg+xml image/svg",
    ".ico": "image/vnd.microsoft.icon image/x-icon image/ico",
    ".jxl": "image/jxl",
    ".jp2": "image/jp2",
    ".exr": "image/x-exr image/exr",
    ".hdr": "image/vnd.radiance",
    ".psd": "image/vnd.adobe.photoshop",
    ".wav": "audio/wav audio/x-wav audio/wave audio/vnd.wave audio/x-pn-wav",
    ".mp3": "audio/mpeg audio/mp3 audio/mpeg3 audio/x-mp3 audio/x-mpeg",
    ".m4a": "audio/mp4 audio/m4a audio/x-m4a",
    ".ogg": "audio/ogg application/ogg",
    ".opus": "audio/opus",
    ".flac": "audio/flac audio/x-flac",
    ".aac": "audio/aac audio/x-aac audio/aacp",
    ".aiff": "audio/aiff audio/x-aiff",
    ".weba": "audio/webm",
    ".amr": "audio/amr",
    ".mid": "audio/midi audio/mid audio/x-midi",
    ".wma": "audio/x-ms-wma",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mov": "video/quicktime",
    ".mkv": "video/x-matroska video/matroska",
    ".avi": "video/x-msvideo video/avi video/msvideo",
    ".mpeg": "video/mpeg",
    ".m4v": "video/x-m4v",
    ".ogv": "video/ogg",
    ".ts": "video/mp2t",
    ".3gp": "video/3gpp audio/3gpp",
    ".flv": "video/x-flv",
    ".wmv": "video/x-ms-wmv",
    ".txt": "text/plain",
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript application/javascript application/x-javascript",
    ".csv": "text/csv application/csv",
    ".tsv": "text/tab-separated-values",
    ".md": "text/markdown text/x-markdown",
    ".xml": "text/xml application/xml",
    ".vtt": "text/vtt",
    ".srt": "application/x-subrip text/srt",
    ".py": "text/x-python text/x-script.python",
    ".rtf": "application/rtf text/rtf",
    ".json": "application/json text/json",
    ".jsonl": "application/jsonl application/x-ndjson application/x-jsonlines",
    ".yaml": "application/yaml application/x-yaml text/yaml text/x-yaml",
    ".toml": "application/toml",
    ".pdf": "application/pdf application/x-pdf",
    ".zip": "application/zip application/x-zip-compressed application/x-zip",
    ".gz": "application/gzip application/x-gzip",
    ".bz2": "application/x-bzip2",
    ".xz": "application/x-xz",
    ".zst": "application/zstd",
    ".7z": "application/x-7z-compressed",
    ".tar": "application/x-tar",
    ".bin": "application/octet-stream binary/octet-stream",
    ".npy": "application/x-npy",
    ".npz": "application/x-npz",
    ".h5": "application/x-hdf5 application/x-hdf",
    ".parquet": "application/vnd.apache.parquet application/parquet",
    ".safetensors": "application/x-safetensors",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".epub": "application/epub+zip",
    ".wasm": "application/wasm",
    ".glb": "model/gltf-binary",
    ".gltf": "model/gltf+json",
    ".obj": "model/obj",
    ".stl": "model/stl application/sla",
    ".ply": "model/ply",
    ".usdz": "model/vnd.usdz+zip",
    ".ttf": "font/ttf",
    ".otf": "font/otf",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
"""The main media type of a suffix, then its aliases."""

_SUFFIXES = {kind: suffix for suffix, kinds in _TYPES.items() for kind in kinds.split()}


def suffix_of(media_type: str) -> str:
    """The suffix of a file of this type, with its dot; "" if the type is unknown.

    Args:
        media_type: with or without parameters, in any case.
    """
    kind = media_type.partition(";")[0].strip().lower()
    structured = kind.rpartition("+")[2]
    return (
        _SUFFIXES.get(kind)
        or mimetypes.guess_extension(kind)
        or {"json": ".json", "xml": ".xml", "zip": ".zip"}.get(structured, "")
    )


def type_of(name: str) -> str:
    """The media type of a file by its name; `application/octet-stream` if unknown."""
    _, dot, suffix = name.rpartition(".")
    kinds = _TYPES.get(dot + suffix.lower())
    if kinds is not None:
        return kinds.partition(" ")[0]
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
