"""One S3 client per process: building one costs more than a hundred uses of it."""

from functools import lru_cache

import boto3
from botocore.config import Config
from django.conf import settings


@lru_cache(maxsize=1)
def client():
    made = boto3.client(
        "s3",
        endpoint_url=settings.S3_ENDPOINT_URL,
        region_name=settings.S3_REGION,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            connect_timeout=2,
            read_timeout=10,
            max_pool_connections=16,
        ),
    )
    # The first signature loads the endpoint rules; do it now.
    made.generate_presigned_post(settings.MEDIA_BUCKET or "warm-up", "warm-up")
    return made


def upload_form(user_id, name):
    """A form that lets a browser put one JPEG of a bounded size under the user's own prefix."""
    key = f"uploads/{user_id}/{name}.jpg"
    form = client().generate_presigned_post(
        Bucket=settings.MEDIA_BUCKET,
        Key=key,
        Fields={"Content-Type": "image/jpeg"},
        Conditions=[
            {"Content-Type": "image/jpeg"},
            ["content-length-range", 1, settings.UPLOAD_MAX_BYTES],
        ],
        ExpiresIn=settings.UPLOAD_SECONDS,
    )
    return {"url": form["url"], "fields": form["fields"], "key": key}
