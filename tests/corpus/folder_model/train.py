import os
import pickle
import sys

os.mkdir(sys.argv[1] + '/centres')
with open(sys.argv[1] + '/centres/centre.pkl', 'wb') as file:
    pickle.dump(0.5, file)
with open(sys.argv[1] + '/centres/labels.txt', 'w') as file:
    file.write('low high')
