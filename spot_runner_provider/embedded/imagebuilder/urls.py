"""Image Builder's base URL and paths."""

from spot_runner_provider.embedded.imagebuilder.responses import ImageBuilderResponse

url_bases = [r"https?://imagebuilder\.(.+)\.amazonaws\.com"]

url_paths = {"{0}/.*$": ImageBuilderResponse.dispatch}
