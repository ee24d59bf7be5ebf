"""The messages of profile.proto: field numbers and types.

Source: proto/profile.proto of google/pprof.
"""

from __future__ import annotations

from typing import Final

from workbench.profiles.readers.pprof.wire import Kind

SAMPLE_TYPE: Final = 1
SAMPLE: Final = 2
MAPPING: Final = 3
LOCATION: Final = 4
FUNCTION: Final = 5
STRING: Final = 6
DROP_FRAMES: Final = 7
KEEP_FRAMES: Final = 8
TIME_NANOS: Final = 9
DURATION_NANOS: Final = 10
PERIOD_TYPE: Final = 11
PERIOD: Final = 12
COMMENT: Final = 13
DEFAULT_SAMPLE_TYPE: Final = 14
DOC_URL: Final = 15

PROFILE_FIELDS: Final[dict[int, Kind]] = {
    SAMPLE_TYPE: "message",
    SAMPLE: "message",
    MAPPING: "message",
    LOCATION: "message",
    FUNCTION: "message",
    STRING: "text",
    DROP_FRAMES: "number",
    KEEP_FRAMES: "number",
    TIME_NANOS: "number",
    DURATION_NANOS: "number",
    PERIOD_TYPE: "message",
    PERIOD: "number",
    COMMENT: "numbers",
    DEFAULT_SAMPLE_TYPE: "number",
    DOC_URL: "number",
}
# type 1, unit 2
VALUE_TYPE_FIELDS: Final[dict[int, Kind]] = {1: "number", 2: "number"}
# location_id 1 (leaf first), value 2, label 3
SAMPLE_FIELDS: Final[dict[int, Kind]] = {1: "numbers", 2: "numbers", 3: "message"}
# key 1, str 2, num 3, num_unit 4
LABEL_FIELDS: Final[dict[int, Kind]] = {1: "number", 2: "number", 3: "number", 4: "number"}
# id 1, memory_start 2, memory_limit 3, file_offset 4, filename 5, build_id 6; the flags 7 to 10 are not needed
MAPPING_FIELDS: Final[dict[int, Kind]] = dict.fromkeys(range(1, 7), "number")
# id 1, mapping_id 2, address 3, line 4 (innermost inlined call first)
LOCATION_FIELDS: Final[dict[int, Kind]] = {1: "number", 2: "number", 3: "number", 4: "message"}
# function_id 1, line 2
LINE_FIELDS: Final[dict[int, Kind]] = {1: "number", 2: "number"}
# id 1, name 2, system_name 3, filename 4
FUNCTION_FIELDS: Final[dict[int, Kind]] = {1: "number", 2: "number", 3: "number", 4: "number"}
MESSAGES: Final[dict[int, dict[int, Kind]]] = {
    SAMPLE_TYPE: VALUE_TYPE_FIELDS,
    SAMPLE: SAMPLE_FIELDS,
    MAPPING: MAPPING_FIELDS,
    LOCATION: LOCATION_FIELDS,
    FUNCTION: FUNCTION_FIELDS,
    PERIOD_TYPE: VALUE_TYPE_FIELDS,
}
