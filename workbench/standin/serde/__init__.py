"""JSON read like serde_json 1.0 reads the service's structs, with the same error texts and positions.

``tokens`` reads strings, numbers and names, ``values`` whole values, ``structs`` the bodies of the routes. Steps and
order are those of serde_json's deserializer, since an error's position is where the deserializer noticed it.
"""
