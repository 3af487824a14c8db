"""The error of a profile that is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.core.errors import ProfileError
from tests.support.builders import rendered


def profile_error(sysctl: str | None = None, modules: str | None = None, **variables: Any) -> ProfileError:
    """Render a profile that has to be refused, and return the error."""
    with pytest.raises(ProfileError) as caught:
        rendered(sysctl, modules, **variables)
    return caught.value
