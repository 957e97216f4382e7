"""The answers to Image Builder's requests.

moto parses the requests by botocore's own model, and serialises errors. An answer is the plain JSON of the API's shape,
because moto would take ten times as long to serialise it.
"""

import json
from uuid import uuid4

from moto.core.common_types import TYPE_RESPONSE
from moto.core.responses import BaseResponse

from spot_runner_provider.embedded.imagebuilder.exceptions import InvalidRequest
from spot_runner_provider.embedded.imagebuilder.models import ImageBuilderBackend, imagebuilder_backends


class ImageBuilderResponse(BaseResponse):
    """One method for each operation, with the operation's name.

    >>> client, prefix = aws.client("imagebuilder"), "arn:aws:imagebuilder:us-east-1:123456789012"
    >>> pipeline = client.create_image_pipeline(
    ...     name="spot-runner-linux-x64",
    ...     imageRecipeArn=f"{prefix}:image-recipe/spotrunnerstack-linux-x64/1.0.0",
    ...     infrastructureConfigurationArn=f"{prefix}:infrastructure-configuration/spotrunnerstack",
    ... )["imagePipelineArn"]
    >>> image = client.start_image_pipeline_execution(imagePipelineArn=pipeline)["imageBuildVersionArn"]
    >>> client.get_image(imageBuildVersionArn=image)["image"]["state"]
    {'status': 'PENDING'}
    >>> len(client.list_image_pipelines()["imagePipelineList"])
    1
    >>> len(client.list_image_pipeline_images(imagePipelineArn=pipeline)["imageSummaryList"])
    1
    """

    def __init__(self) -> None:
        super().__init__(service_name="imagebuilder")
        self.automated_parameter_parsing = True

    @property
    def backend(self) -> ImageBuilderBackend:
        """The backend of the request's account and region."""
        return imagebuilder_backends[self.current_account][self.region]

    def create_image_pipeline(self) -> TYPE_RESPONSE:
        """CreateImagePipeline: the image recipe's name and version become the images'.

        There are no recipes here, so the recipe's name tells the platform.
        """
        recipe, version = None, "1.0.0"
        if arn := self._get_param("imageRecipeArn"):
            recipe, version = arn.rpartition(":image-recipe/")[2].split("/")
        token = self._get_param("clientToken")
        pipeline = self.backend.create_pipeline(
            self._get_param("name"),
            recipe=recipe,
            recipe_version=version,
            platform="Windows" if "windows" in (recipe or "") else "Linux",
            client_token=token,
        )
        return self._result(clientToken=token, imagePipelineArn=pipeline.arn)

    def start_image_pipeline_execution(self) -> TYPE_RESPONSE:
        """StartImagePipelineExecution: the new image stays PENDING until somebody moves it on."""
        token = self._get_param("clientToken")
        image = self.backend.start_execution(self._get_param("imagePipelineArn"), token)
        return self._result(clientToken=token, imageBuildVersionArn=image.arn)

    def list_image_pipelines(self) -> TYPE_RESPONSE:
        """ListImagePipelines, filtered by name."""
        page, token = self.backend.list_pipelines(
            self._get_param("filters", []), self._get_param("maxResults"), self._get_param("nextToken")
        )
        return self._result(imagePipelineList=[pipeline.to_json() for pipeline in page], nextToken=token)

    def list_image_pipeline_images(self) -> TYPE_RESPONSE:
        """ListImagePipelineImages, unfiltered.

        :raises InvalidRequest: for any filter
        """
        if self._get_param("filters"):
            raise InvalidRequest("Filters of ListImagePipelineImages are not supported here.")
        page, token = self.backend.list_pipeline_images(
            self._get_param("imagePipelineArn"), self._get_param("maxResults"), self._get_param("nextToken")
        )
        return self._result(imageSummaryList=[image.to_summary() for image in page], nextToken=token)

    def get_image(self) -> TYPE_RESPONSE:
        """GetImage by the ARN of a build version."""
        image = self.backend.get_image(self._get_param("imageBuildVersionArn"))
        return self._result(image=image.to_json())

    @staticmethod
    def _result(**members: object) -> TYPE_RESPONSE:
        present = {name: value for name, value in members.items() if value is not None}
        body = json.dumps({"requestId": str(uuid4()), **present})
        return 200, {"Content-Type": "application/json"}, body
