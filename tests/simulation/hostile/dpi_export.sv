// forbidden
module counter(input logic clk, input logic rst, output logic [3:0] q);
  export "DPI-C" function answer;
  function int answer; return 1; endfunction
endmodule
