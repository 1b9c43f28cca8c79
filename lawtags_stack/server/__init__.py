"""HTTP applications, access control and connections."""
