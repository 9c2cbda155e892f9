print 'made up';
