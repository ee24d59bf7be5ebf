"""JSON read as serde_json 1.0 reads it into the service's structs, with its words and places for what is wrong.

``tokens`` reads strings, numbers and names, ``values`` whole values, ``structs`` the bodies of the routes.
The steps and their order are those of serde_json's deserializer: an error's place is where it stood when it noticed.
"""
