"""Makes the shop's two buckets, says what the public may read, and puts a few objects in."""

import json
import os
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.management.base import BaseCommand, CommandError

STATIC, MEDIA = "shop-static", "shop-media"
PATIENCE_SECONDS = 60
FORGET_UPLOADS = {
    "ID": "forget uploads after a year",
    "Status": "Enabled",
    "Filter": {"Prefix": "uploads/"},
    "Expiration": {"Days": 365},
}

PHOTO = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 300"><rect width="400" height="300" fill="hsl({hue} 60% 85%)"/>\
<circle cx="200" cy="150" r="100" fill="#fff"/><circle cx="200" cy="150" r="70" fill="hsl({hue} 60% 45%)"/></svg>"""


def public_read(bucket, prefix):
    """Anybody may read below the prefix; nobody may list, and nothing else is public."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": "*",
                    "Action": ["s3:GetObject"],
                    "Resource": [f"arn:aws:s3:::{bucket}/{prefix}*"],
                }
            ],
        }
    )


class Command(BaseCommand):
    help = __doc__

    def handle(self, **options):
        s3 = boto3.client(
            "s3",
            endpoint_url=os.environ["S3_ENDPOINT_URL"],
            region_name=os.environ.get("AWS_REGION", "us-east-1"),
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )
        self._until_it_answers(s3)
        there = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
        for bucket, public in ((STATIC, ""), (MEDIA, "photos/")):
            if bucket not in there:
                s3.create_bucket(Bucket=bucket)
            s3.put_bucket_policy(Bucket=bucket, Policy=public_read(bucket, public))
        s3.put_bucket_lifecycle_configuration(Bucket=MEDIA, LifecycleConfiguration={"Rules": [FORGET_UPLOADS]})
        for n in range(6):
            s3.put_object(
                Bucket=MEDIA,
                Key=f"photos/{n}.svg",
                Body=PHOTO.format(hue=n * 60).encode(),
                ContentType="image/svg+xml",
                CacheControl="public, max-age=86400",
            )
        # Whoever waits for the S3 server asks for this one: its health page
        # says yes seconds before objects can be read.
        s3.put_object(Bucket=STATIC, Key="ready.txt", Body=b"ready\n", ContentType="text/plain")
        self.stdout.write(f"{STATIC} and {MEDIA} are ready")

    def _until_it_answers(self, s3):
        limit = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                s3.list_buckets()
                return
            except (BotoCoreError, ClientError) as error:
                if time.monotonic() > limit:
                    raise CommandError(
                        f"the S3 server did not answer within {PATIENCE_SECONDS} s: {error}"
                    ) from error
                time.sleep(0.2)
