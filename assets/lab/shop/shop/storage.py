"""
Step 2: static files with a hash in their name, in a bucket.

`collectstatic` hashes on the local disk, then uploads in parallel. The manifest
stays on the local disk, so that a starting worker needs no network for it.
"""

import mimetypes
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage

FOREVER = "public, max-age=31536000, immutable"


class BucketStaticStorage(ManifestStaticFilesStorage):
    def post_process(self, *args, **kwargs):
        yield from super().post_process(*args, **kwargs)
        with ThreadPoolExecutor(8) as pool:
            # list() so that a failed upload fails the command.
            list(pool.map(self._upload, sorted(set(self.hashed_files.values()))))

    def _upload(self, name):
        from shop import s3

        with self.open(name) as file:
            s3.client().put_object(
                Bucket=settings.STATIC_BUCKET,
                Key=settings.STATIC_URL.lstrip("/") + name,
                Body=file.read(),
                ContentType=mimetypes.guess_type(name)[0] or "application/octet-stream",
                CacheControl=FOREVER,
            )
