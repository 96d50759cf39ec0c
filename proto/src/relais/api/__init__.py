"""The gRPC contracts of Relais and the package generated from them."""
