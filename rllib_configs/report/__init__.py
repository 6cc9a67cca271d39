"""What a run leaves for people: success tables, the learning curve and a video of before and after."""
