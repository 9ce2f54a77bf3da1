"""What a net sees in an image: what excites a unit, what a class rests on, what a layer keeps."""
